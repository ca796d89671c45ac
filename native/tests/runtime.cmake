pystream_test(runtime_test
  runtime/watermark_test.cpp
  runtime/worker_pool_test.cpp
  runtime/python_stage_test.cpp
)
