"""What the stand-in for a browser makes of a page."""

from tests.parts.device_pages import Person, _Page

LOGIN = """<html><head><title>Sign in</title><script>var form = "<form action='no'>";</script></head><body>
<form action="/login?code=1&amp;tab=2" method="post">
  <input name="username" value=""><input name="password" type="password">
  <span class="helper pf-m-error kc-feedback-text">Invalid username or password.</span>
  <input type="hidden" name="credentialId"><button name="login" type="submit">Sign In</button>
</form></body></html>"""

CONSENT = """<form action="/consent"><ul><li><span>database login</span></li></ul><input type="hidden" name="code"
value="c0de"><button name="accept">Yes</button><button name="cancel">No</button></form>"""


def test_form_and_its_fields() -> None:
    page = _Page(LOGIN)

    assert page.action == "/login?code=1&tab=2"
    assert page.fields == {"username": "", "password": "", "credentialId": ""}
    assert page.buttons == {"login"}


def test_complaint_of_the_page() -> None:
    assert _Page(LOGIN).error == "Invalid username or password."
    assert _Page(CONSENT).error == ""


def test_points_of_the_consent_page() -> None:
    page = _Page(CONSENT)

    assert page.points == ("database login",)
    assert page.buttons == {"accept", "cancel"}
    assert page.fields == {"code": "c0de"}


def test_last_page_has_text_and_no_form() -> None:
    page = _Page("<title>Demo</title><h1>Device Login</h1><p>Successful")

    assert page.action is None
    assert page.text == "Device Login Successful"


def test_password_is_not_in_the_repr() -> None:
    assert "secret" not in repr(Person("alice", "secret"))
