"""The decision record: a line in a chain, written before the answer; and the last ones in memory.

Which rules nobody uses is in `pgbearer.audit.usage`, apart: it knows settings, which take the extra [serve] to read,
and an audit can be read without.
"""

from pgbearer.audit.aggregate import Aggregator, Tally
from pgbearer.audit.chain import BEGINNING, Chain, Finding, verify_chain
from pgbearer.audit.facts import Facts
from pgbearer.audit.inquiry import Inquiry, Source
from pgbearer.audit.log import AuditLog
from pgbearer.audit.reading import decisions_in, lines_of
from pgbearer.audit.recent import Recent, Remembered, Search
from pgbearer.audit.record import DecisionRecord, timestamp
from pgbearer.audit.sink import AuditUnavailable

__all__ = [
    "BEGINNING",
    "Aggregator",
    "AuditLog",
    "AuditUnavailable",
    "Chain",
    "DecisionRecord",
    "Facts",
    "Finding",
    "Inquiry",
    "Recent",
    "Remembered",
    "Search",
    "Source",
    "Tally",
    "decisions_in",
    "lines_of",
    "timestamp",
    "verify_chain",
]
