"""A pod with its service account's token, as the kubelet keeps it good in a projected volume."""

from pathlib import Path
from typing import Final

from pgbearer.client.sources.file import FileSource

__all__ = ["SERVICE_ACCOUNT_TOKEN", "KubernetesSource"]

SERVICE_ACCOUNT_TOKEN: Final = Path("/var/run/secrets/tokens/pgbearer")
"""Where the manifests of this project mount it; never the API server's own token, which is for another audience."""


class KubernetesSource(FileSource):
    """Gives the service account's token as it is, for servers that take the cluster as an issuer.

    The kubelet writes it anew at four fifths of its life; it is read at each use. In a pod everybody may read it: the
    pod is the boundary. To have it exchanged at an authority instead: `ClientCredentialsSource` with a
    `FederatedAssertion`.

    Args:
        file: the token in its projected volume, whose ``audience`` is the database's.
        issuer: the cluster's, as its tokens say it; None if the caller or the connection string says it.
    """

    def __init__(self, file: Path = SERVICE_ACCOUNT_TOKEN, *, issuer: str | None = None) -> None:
        super().__init__(file, issuer=issuer, private=False)
