"""Which field of INFO is which metric: redis_exporter's two tables, as facts; reading its numbers.

Rule: names and types are those that dashboards and rules know, also where they are odd.
Redis, Valkey, KeyDB and the fields of their modules; Tile38 is another server and left out.
Written as `field=name`, with `*` for the field itself; `field` alone is its own name.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from exporter.families.metric import Metric, counter, gauge

_WORDS = {"ok": 1.0, "true": 1.0, "err": 0.0, "fail": 0.0, "false": 0.0}
_GAUGES = """
uptime_in_seconds process_id io_threads_active connected_clients blocked_clients
maxclients=max_clients tracking_clients clients_in_timeout_table pubsub_clients watching_clients
total_watched_keys total_blocking_keys total_blocking_keys_on_nokey client_longest_output_list
client_biggest_input_buf client_recent_max_output_buffer=*_bytes
client_recent_max_input_buffer=*_bytes allocator_active=*_bytes allocator_allocated=*_bytes
allocator_resident=*_bytes allocator_frag_ratio allocator_frag_bytes allocator_muzzy=*_bytes
allocator_rss_ratio allocator_rss_bytes used_memory=memory_used_bytes
used_memory_rss=memory_used_rss_bytes used_memory_peak=memory_used_peak_bytes
used_memory_lua=memory_used_lua_bytes used_memory_vm_eval=memory_used_vm_eval_bytes
used_memory_scripts_eval=memory_used_scripts_eval_bytes
used_memory_overhead=memory_used_overhead_bytes used_memory_startup=memory_used_startup_bytes
used_memory_dataset=memory_used_dataset_bytes number_of_cached_scripts number_of_functions
number_of_libraries used_memory_vm_functions=memory_used_vm_functions_bytes
used_memory_scripts=memory_used_scripts_bytes used_memory_functions=memory_used_functions_bytes
used_memory_vm_total=memory_used_vm_total maxmemory=memory_max_bytes
maxmemory_reservation=memory_max_reservation_bytes
maxmemory_desired_reservation=memory_max_reservation_desired_bytes
maxfragmentationmemory_reservation=memory_max_fragmentation_reservation_bytes
maxfragmentationmemory_desired_reservation=memory_max_fragmentation_reservation_desired_bytes
mem_fragmentation_ratio mem_fragmentation_bytes mem_clients_slaves mem_clients_normal
mem_cluster_links=*_bytes mem_aof_buffer=*_bytes mem_replication_backlog=*_bytes
expired_stale_perc=expired_stale_percentage
mem_not_counted_for_evict=mem_not_counted_for_eviction_bytes mem_total_replication_buffers=*_bytes
mem_overhead_db_hashtable_rehashing=*_bytes lazyfree_pending_objects lazyfreed_objects
active_defrag_running migrate_cached_sockets=*_total active_defrag_hits=defrag_hits
active_defrag_misses=defrag_misses active_defrag_key_hits=defrag_key_hits
active_defrag_key_misses=defrag_key_misses loading=loading_dump_file async_loading
rdb_changes_since_last_save rdb_bgsave_in_progress
rdb_last_save_time=rdb_last_save_timestamp_seconds rdb_last_bgsave_status
rdb_last_bgsave_time_sec=rdb_last_bgsave_duration_sec
rdb_current_bgsave_time_sec=rdb_current_bgsave_duration_sec rdb_saves=*_total
rdb_last_cow_size=*_bytes rdb_last_load_keys_expired=rdb_last_load_expired_keys
rdb_last_load_keys_loaded=rdb_last_load_loaded_keys aof_enabled aof_rewrite_in_progress
aof_rewrite_scheduled aof_last_rewrite_time_sec=aof_last_rewrite_duration_sec
aof_current_rewrite_time_sec=aof_current_rewrite_duration_sec aof_last_cow_size=*_bytes
aof_current_size=*_bytes aof_base_size=*_bytes aof_pending_rewrite aof_buffer_length
aof_rewrite_buffer_length aof_pending_bio_fsync aof_delayed_fsync aof_last_bgrewrite_status
aof_last_write_status module_fork_in_progress module_fork_last_cow_size
current_eviction_exceeded_time=current_eviction_exceeded_time_ms pubsub_channels pubsub_patterns
pubsubshard_channels tracking_total_keys tracking_total_items tracking_total_prefixes
instantaneous_eventloop_cycles_per_sec instantaneous_eventloop_duration_usec connected_slaves
repl_backlog_size=replication_backlog_bytes repl_backlog_active=repl_backlog_is_active
repl_backlog_first_byte_offset repl_backlog_histlen=repl_backlog_history_bytes master_repl_offset
second_repl_offset slave_expires_tracked_keys slave_priority sync_full=replica_resyncs_full
sync_partial_ok=replica_partial_resync_accepted sync_partial_err=replica_partial_resync_denied
cluster_stats_messages_sent=cluster_messages_sent_total
cluster_stats_messages_received=cluster_messages_received_total server_threads=*_total
long_lock_waits=*_total current_client_thread search_number_of_indexes
search_used_memory_indexes=*_bytes search_dialect_1 search_dialect_2 search_dialect_3
search_dialect_4 search_global_idle search_global_total
search_bytes_collected=search_collected_bytes search_number_of_active_indexes
search_number_of_active_indexes_running_queries search_number_of_active_indexes_indexing
search_total_active_write_threads search_total_num_docs_in_indexes
search_smallest_memory_index=*_bytes search_largest_memory_index=*_bytes
search_used_memory_vector_index=*_bytes search_global_idle_user search_global_idle_internal
search_global_total_user search_global_total_internal
search_gc_bytes_collected=search_gc_collected_bytes search_gc_total_docs_not_collected
search_gc_marked_deleted_vectors search_errors_indexing_failures bf_bloom_total_memory_bytes
bf_bloom_num_objects bf_bloom_num_filters_across_objects bf_bloom_num_items_across_objects
bf_bloom_capacity_across_objects json_total_memory_bytes json_num_documents
search_used_memory_bytes search_number_of_attributes search_total_indexed_documents
search_query_queue_size search_writer_queue_size search_string_interning_store_size
search_vector_externing_hash_extern_errors search_vector_externing_num_lru_entries
total_system_memory=*_bytes hz configured_hz maxclients=config_maxclients
maxmemory=config_maxmemory
"""
_COUNTERS = """
total_connections_received=connections_received_total
total_commands_processed=commands_processed_total rejected_connections=*_total
total_net_input_bytes=net_input_bytes_total total_net_output_bytes=net_output_bytes_total
total_net_repl_input_bytes=net_repl_input_bytes_total
total_net_repl_output_bytes=net_repl_output_bytes_total expired_subkeys=*_total
expired_keys=*_total expired_time_cap_reached_count=expired_time_cap_reached_total
expire_cycle_cpu_milliseconds=expire_cycle_cpu_time_ms_total evicted_keys=*_total
evicted_clients=*_total evicted_scripts=*_total
total_eviction_exceeded_time=eviction_exceeded_time_ms_total keyspace_hits=*_total
keyspace_misses=*_total eventloop_cycles=*_total
eventloop_duration_sum=eventloop_duration_sum_usec_total
eventloop_duration_cmd_sum=eventloop_duration_cmd_sum_usec_total
used_cpu_sys=cpu_sys_seconds_total used_cpu_user=cpu_user_seconds_total
used_cpu_sys_children=cpu_sys_children_seconds_total
used_cpu_user_children=cpu_user_children_seconds_total
used_cpu_sys_main_thread=cpu_sys_main_thread_seconds_total
used_cpu_user_main_thread=cpu_user_main_thread_seconds_total unexpected_error_replies
total_error_replies dump_payload_sanitizations total_reads_processed total_writes_processed
io_threaded_reads_processed io_threaded_writes_processed
client_query_buffer_limit_disconnections=*_total client_output_buffer_limit_disconnections=*_total
reply_buffer_shrinks=*_total reply_buffer_expands=*_total acl_access_denied_auth=*_total
acl_access_denied_cmd=*_total acl_access_denied_key=*_total acl_access_denied_channel=*_total
cached_keys=*_total storage_provider_read_hits storage_provider_read_misses
search_total_indexing_time=search_indexing_time_ms_total search_total_cycles=search_cycles_total
search_total_ms_run=search_run_ms_total search_gc_total_cycles=search_gc_cycles_total
search_gc_total_ms_run=search_gc_run_ms_total
search_total_queries_processed=search_queries_processed_total
search_total_query_commands=search_query_commands_total
search_total_query_execution_time_ms=search_query_execution_time_ms_total
search_total_active_queries=search_active_queries_total bf_bloom_defrag_hits=*_total
bf_bloom_defrag_misses=*_total search_worker_pool_suspend_cnt=search_worker_pool_suspend_count
search_writer_resumed_cnt=search_writer_resumed_count
search_reader_resumed_cnt=search_reader_resumed_count
search_writer_suspension_expired_cnt=search_writer_suspension_expired_count
search_rdb_load_success_cnt=search_rdb_load_success_count
search_rdb_load_failure_cnt=search_rdb_load_failure_count
search_rdb_save_success_cnt=search_rdb_save_success_count
search_rdb_save_failure_cnt=search_rdb_save_failure_count search_successful_requests_count
search_failure_requests_count search_hybrid_requests_count search_inline_filtering_requests_count
search_hnsw_add_exceptions_count search_hnsw_remove_exceptions_count
search_hnsw_modify_exceptions_count search_hnsw_search_exceptions_count
search_hnsw_create_exceptions_count search_vector_externing_entry_count
search_vector_externing_generated_value_cnt=search_vector_externing_generated_value_count
search_vector_externing_lru_promote_cnt=search_vector_externing_lru_promote_count
search_vector_externing_deferred_entry_cnt=search_vector_externing_deferred_entry_count
used_active_time_main_thread=active_time_main_thread_seconds_total
"""


def _rows() -> Iterator[tuple[str, Metric]]:
    for declare, table in ((gauge, _GAUGES), (counter, _COUNTERS)):
        for row in table.split():
            field, _, name = row.partition("=")
            name = (name or "*").replace("*", field)
            yield field, declare(f"redis_{name}", f"{field} of INFO.", ("service",))


def _table() -> dict[str, tuple[Metric, ...]]:
    table: dict[str, tuple[Metric, ...]] = {}
    for field, metric in _rows():
        table[field] = (*table.get(field, ()), metric)
    return table


FIELDS = _table()


@lru_cache(maxsize=1024)  # most of a server is as it was
def numbers(text: str) -> Mapping[str, float]:
    """`keys=1,expires=0` -> {keys: 1, expires: 0}; what is no number is left out."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        number = int(value) if value.isdigit() else number_of(value)
        if number is not None:
            found[name] = number
    return found


def number_of(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        return _WORDS.get(text)
