"""The groups of mutations."""

from tests.mutations import (
    aggregate_rules,
    clock_rules,
    compaction_rules,
    compat_rules,
    count_rules,
    group_rules,
    log_rules,
    producer_rules,
    retention_rules,
    rules,
    session_rules,
    state_rules,
    transaction_rules,
    trigger_rules,
    union_rules,
)
from tests.mutations.mutation import Group

GROUPS = {
    "windows": Group(
        rules.MUTATIONS
        + aggregate_rules.MUTATIONS
        + session_rules.MUTATIONS
        + count_rules.MUTATIONS
        + trigger_rules.MUTATIONS
        + union_rules.MUTATIONS
        + clock_rules.MUTATIONS
        + state_rules.MUTATIONS,
        native_tests=("windows_*_test", "state_*_test", "runtime*_test"),
        python_tests=(
            "tests/pipeline/test_windows.py",
            "tests/pipeline/test_sessions.py",
            "tests/pipeline/test_many_sessions.py",
            "tests/pipeline/test_counts.py",
            "tests/pipeline/test_global_windows.py",
            "tests/pipeline/test_processing_time.py",
            "tests/pipeline/test_processing_time_oracle.py",
            "tests/pipeline/test_alignment.py",
            "tests/pipeline/test_unions.py",
            "tests/native_api/test_unions.py",
            "tests/pipeline/test_aggregates.py",
            "tests/conformance/test_engine.py",
            "tests/conformance/test_restored.py",
            "tests/pipeline/test_restored_aggregates.py",
            "tests/pipeline/test_restored_sinks.py",
            "tests/pipeline/test_restored_triggers.py",
            "tests/pipeline/test_windows_oracle.py",
            "tests/pipeline/test_sessions_oracle.py",
            "tests/pipeline/test_counts_oracle.py",
            "tests/pipeline/test_triggers_oracle.py",
            "tests/pipeline/test_own_triggers.py",
            "tests/pipeline/test_own_trigger_errors.py",
            "tests/pipeline/test_unions_oracle.py",
            "tests/pipeline/test_aggregates_oracle.py",
            "tests/pipeline/test_user_aggregates.py",
            "tests/pipeline/test_user_aggregates_oracle.py",
            "tests/native_api/test_hybrid.py",
            "tests/native_api/test_watermarks.py",
            "tests/pipeline/test_watermarks.py",
            "tests/pipeline/test_watermarks_oracle.py",
            "tests/pipeline/test_event_time_units.py",
            "tests/pipeline/test_event_time_units_oracle.py",
            "tests/pipeline/test_key_order.py",
            "tests/pipeline/test_many_keys.py",
            "tests/pipeline/test_where_oracle.py",
            "tests/pipeline/test_chains_oracle.py",
        ),
    ),
    "log": Group(
        log_rules.MUTATIONS + retention_rules.MUTATIONS + transaction_rules.MUTATIONS,
        # Harnesses first: the cheap ones before the thorough ones.
        native_tests=(
            "storage_log_power_loss_test",
            "storage_log_crash_test",
            "storage_log_faults_test",
            "storage_log_damage_test",
            "storage_log_*_test",
            "storage_fetcher_test",
            "storage_control_page_test",
            "storage_time_lookup_test",
            "storage_log_transactions_test",
        ),
        python_tests=(
            "tests/log/test_transactions.py",
            "tests/log/test_transactions_groups.py",
            "tests/log/test_catalog_dropped.py",
            "tests/log/test_transactions_rescue.py",
            "tests/log/test_transactions_model.py",
            "tests/log/test_catalog_rows.py",
            "tests/log/test_format_version.py",
            "tests/torture/test_power_loss.py",
        ),
    ),
    "compaction": Group(
        compaction_rules.MUTATIONS,
        native_tests=("storage_log_compaction_test", "storage_log_compaction_*_test"),
        python_tests=(
            "tests/log/test_compaction.py",
            "tests/log/test_compaction_keys.py",
            "tests/log/test_compaction_upkeep.py",
            "tests/log/test_upkeep_crash.py",
            "tests/torture/test_power_loss.py",
        ),
    ),
    "producers": Group(
        producer_rules.MUTATIONS,
        native_tests=("storage_producer_test",),
        python_tests=(
            "tests/log/test_named_producer.py",
            "tests/log/test_sequence_ids.py",
            "tests/native_api/test_producers.py",
            "tests/log/test_crash.py",
        ),
    ),
    "groups": Group(
        group_rules.MUTATIONS + compat_rules.MUTATIONS,
        native_tests=(),
        python_tests=(
            "tests/log/test_groups_model.py",
            "tests/log/test_groups.py",
            "tests/log/test_groups_life.py",
            "tests/log/test_groups_crash.py",
            "tests/compat/test_confluent.py",
            "tests/compat/test_confluent_groups.py",
            "tests/compat/test_python.py",
        ),
    ),
}
