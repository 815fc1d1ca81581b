"""A local helper that logs any client in: PostgreSQL's protocol without OAuth on one side, with a token on the other.

`Proxy` serves; what it may connect to is an `Upstream`, where clients come in a `Listen`, `ListenTcp` or `Inherited`.
docs/adr/0012-local-proxy.md says what passes and what is refused.
"""

from pgbearer.client.proxy.listen import Inherited, Listen, ListenTcp
from pgbearer.client.proxy.proxy import Proxy
from pgbearer.client.proxy.settings import ProxySettings
from pgbearer.client.proxy.status import ProxyStatus, UpstreamStatus
from pgbearer.client.proxy.upstream import Upstream

__all__ = ["Inherited", "Listen", "ListenTcp", "Proxy", "ProxySettings", "ProxyStatus", "Upstream", "UpstreamStatus"]
