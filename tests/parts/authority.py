"""A certificate authority made on the spot, and certificates from it."""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["LOOPBACK", "Authority", "Certificate"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""What a server on this machine is reached as."""
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, as PEM files; the key's mode is 0600."""

    cert_file: Path
    key_file: Path


class Authority:
    """Signs certificates that are good for a month.

    Args:
        folder: where every file goes; made if it is not there. The authority's own key never leaves memory.
        name: its common name, as a person would see it in a trust store.
    """

    def __init__(self, folder: Path, name: str = "pgbearer test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.ca_file = folder / "ca.crt"
        self.ca_file.write_bytes(self._self_signed().public_bytes(serialization.Encoding.PEM))

    def server(
        self, name: str, hosts: Sequence[str] = LOOPBACK, *, owner: int | None = None, days: int = 30
    ) -> Certificate:
        """A certificate for a server that is reached as any of `hosts` (names or addresses).

        Args:
            name: names the files: NAME.crt and NAME.key.
            hosts: subject alternative names: DNS names, addresses, or a SPIFFE ID.
            owner: the uid that the key file is given to; None keeps it ours.
            days: how long it is good for; -1: it ended yesterday.
        """
        return self._issue(name, hosts, ExtendedKeyUsageOID.SERVER_AUTH, owner, days)

    def client(
        self, name: str, names: Sequence[str] | None = None, *, owner: int | None = None, days: int = 30
    ) -> Certificate:
        """A certificate for a client that servers know as `names` (DNS names or SPIFFE IDs), else as `name`.

        The files are NAME.crt and NAME.key; `owner` and `days` as for `server`.
        """
        return self._issue(name, names or [name], ExtendedKeyUsageOID.CLIENT_AUTH, owner, days)

    def _issue(
        self, name: str, hosts: Sequence[str], usage: x509.ObjectIdentifier, owner: int | None, days: int
    ) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        made = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        signed = self._signed(key.public_key(), hosts, usage, days)
        made.cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        _write_key(made.key_file, key, owner)
        return made

    def _self_signed(self) -> x509.Certificate:
        public = self._key.public_key()
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        return (
            self._begun(self._name, public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _signed(
        self, public: ec.EllipticCurvePublicKey, hosts: Sequence[str], usage: x509.ObjectIdentifier, days: int
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            self._begun(subject, public, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _begun(self, subject: x509.Name, public: ec.EllipticCurvePublicKey, days: int = 30) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * _DAY)  # clocks differ
            .not_valid_after(now + days * _DAY)
        )


def _general_name(host: str) -> x509.GeneralName:
    if "://" in host:
        return x509.UniformResourceIdentifier(host)
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey, owner: int | None) -> None:
    """Write the key so that it never was readable by others, not even for a moment."""
    file.unlink(missing_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        if owner is not None:
            os.fchown(out.fileno(), owner, -1)
