"""What CloudNativePG's operator does with a Cluster, as of 1.30 (pkg/postgres/configuration.go of its source)."""

import re
from typing import Final

__all__ = ["BLOCKED", "GROUP", "LAST_LINE", "MAX_CLUSTER_NAME", "NAMESPACE", "OWN_LINES", "POD_PATCH", "REFERENCE"]

GROUP: Final = "postgresql.cnpg.io"
NAMESPACE: Final = "cnpg-system"
"""Where it is installed by its own manifest."""
POD_PATCH: Final = "cnpg.io/podPatch"
MAX_CLUSTER_NAME: Final = 50
"""Characters (internal/webhook/v1/cluster_webhook.go)."""

OWN_LINES: Final = (
    "local all cnpg_metrics_exporter peer map=cnpg_metrics_exporter",
    "local all all peer map=local",
    "hostssl postgres streaming_replica all cert map=cnpg_streaming_replica",
    "hostssl replication streaming_replica all cert map=cnpg_streaming_replica",
    "hostssl all cnpg_pooler_pgbouncer all cert map=cnpg_pooler_pgbouncer",
)
"""Above the lines of a Cluster."""
LAST_LINE: Final = "host all all all scram-sha-256"
"""Below them."""

REFERENCE: Final = re.compile(r"\$\{[^:]+:[^}]+\}")
"""In an entry of pg_hba, wherever it stands: the entry is written once for each pod, so not at all if there is none
(pkg/postgres/hba/hba.go)."""

_BLOCKED: Final = """
    allow_system_table_mods archive_mode bonjour bonjour_name cluster_name config_file data_directory data_sync_retry
    event_source external_pid_file hba_file hot_standby ident_file jit_provider listen_addresses logging_collector port
    primary_conninfo primary_slot_name recovery_target recovery_target_action recovery_target_inclusive
    recovery_target_lsn recovery_target_name recovery_target_time recovery_target_timeline recovery_target_xid
    restore_command shared_preload_libraries temp_tablespaces unix_socket_directories unix_socket_group
    unix_socket_permissions archive_cleanup_command archive_command log_destination log_directory log_file_mode
    log_filename log_rotation_age log_rotation_size log_truncate_on_rotation pg_failover_slots.primary_dsn
    pg_failover_slots.standby_slot_names promote_trigger_file recovery_end_command recovery_min_apply_delay
    restart_after_crash ssl ssl_ca_file ssl_cert_file ssl_crl_file ssl_dh_params_file ssl_ecdh_curve ssl_key_file
    ssl_passphrase_command ssl_passphrase_command_supports_reload ssl_prefer_server_ciphers stats_temp_directory
    synchronous_standby_names synchronized_standby_slots syslog_facility syslog_ident syslog_sequence_numbers
    syslog_split_messages
"""
BLOCKED: Final = frozenset(_BLOCKED.split())
"""Parameters that it refuses in ``spec.postgresql.parameters`` (FixedConfigurationParameters)."""
