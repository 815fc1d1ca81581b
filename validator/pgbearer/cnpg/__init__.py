"""CloudNativePG: what is wrong with manifests of Clusters, and with what a running one has in force."""

from pgbearer.cnpg.check import check_files, check_text
from pgbearer.cnpg.codes import CODES, About
from pgbearer.cnpg.finding import Finding
from pgbearer.cnpg.live import check_live

__all__ = ["CODES", "About", "Finding", "check_files", "check_live", "check_text"]
