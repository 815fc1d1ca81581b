"""The only place that makes outbound HTTP: bounded size and time, no redirects, our CA."""

from pgbearer.http.fault import Fault, FetchError
from pgbearer.http.fetcher import Fetcher
from pgbearer.http.pool import Pool
from pgbearer.http.reply import Reply
from pgbearer.http.sync import SyncFetcher
from pgbearer.http.workload_api import JwtSvid, WorkloadApi

__all__ = ["Fault", "FetchError", "Fetcher", "JwtSvid", "Pool", "Reply", "SyncFetcher", "WorkloadApi"]
