# Batches on their way, and the futures of their records.

from libc.stdint cimport int32_t, int64_t

from pystream._native._encoder cimport TopicEncoder
from pystream._native._open_batch cimport OpenBatch


cdef enum Status:
    PENDING
    PUBLISHED
    FAILED


cdef class ProducerBatch:
    cdef OpenBatch* _rows
    cdef readonly TopicEncoder encoder
    cdef readonly int32_t partition
    cdef readonly int64_t record_count
    cdef readonly int64_t byte_count
    cdef readonly int64_t first_sequence  # -1: the producer has no name
    cdef int64_t _duplicate_count  # leading records that were stored before
    cdef int64_t _opened_us
    cdef bint _is_sealed
    cdef Status _status
    cdef int64_t _base_offset
    cdef object _append_time_us
    cdef object _offsets  # of each record, where they do not simply follow the first
    cdef object _error
    cdef list _bells  # a queue for each who waits, rung when the batch is done
    cdef list _callbacks

    cdef _finish(self, Status status)
    cdef bint _wait(self, timeout) except -1


cdef class Delivery:
    cdef ProducerBatch _batch
    cdef int64_t _index
    cdef int64_t _timestamp_us


cdef note_worker(object producer)
