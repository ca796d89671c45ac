pystream_test(runtime_test
  runtime/batch_skip_test.cpp
  runtime/event_times_test.cpp
  runtime/executor_test.cpp
  runtime/job_restore_test.cpp
  runtime/job_snapshot_test.cpp
  runtime/null_event_time_test.cpp
  runtime/operator_state_test.cpp
  runtime/python_stage_test.cpp
  runtime/record_timestamps_test.cpp
  runtime/topic_job_test.cpp
  runtime/union_order_test.cpp
  runtime/watermark_path_test.cpp
  runtime/watermark_test.cpp
  runtime/worker_pool_test.cpp
)
target_include_directories(runtime_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/runtime)
