"""CloudNativePG: Clusters from a short spec, and what is wrong with manifests or with what a server has in force."""

from pgbearer.cnpg.check import check_files, check_text
from pgbearer.cnpg.codes import CODES, About
from pgbearer.cnpg.draft import Draft, decode_spec, read_spec
from pgbearer.cnpg.finding import Finding
from pgbearer.cnpg.folder import write
from pgbearer.cnpg.in_cluster import ask_cluster
from pgbearer.cnpg.kubectl import Kubectl
from pgbearer.cnpg.live import check_live
from pgbearer.cnpg.render import Rendered, render
from pgbearer.cnpg.spec import Images, Role, Spec
from pgbearer.cnpg.status import Status, look

__all__ = [
    "CODES",
    "About",
    "Draft",
    "Finding",
    "Images",
    "Kubectl",
    "Rendered",
    "Role",
    "Spec",
    "Status",
    "ask_cluster",
    "check_files",
    "check_live",
    "check_text",
    "decode_spec",
    "look",
    "read_spec",
    "render",
    "write",
]
