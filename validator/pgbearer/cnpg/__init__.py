"""CloudNativePG: Clusters from a short spec, and what is wrong with manifests or with what a server has in force."""

from pgbearer.cnpg.check import check_files, check_text
from pgbearer.cnpg.codes import CODES, About
from pgbearer.cnpg.finding import Finding
from pgbearer.cnpg.live import check_live
from pgbearer.cnpg.render import Rendered, render, write
from pgbearer.cnpg.spec import Images, Role, Spec, decode_spec, read_spec

__all__ = [
    "CODES",
    "About",
    "Finding",
    "Images",
    "Rendered",
    "Role",
    "Spec",
    "check_files",
    "check_live",
    "check_text",
    "decode_spec",
    "read_spec",
    "render",
    "write",
]
