//! A partition's own queue of librdkafka, read many records a call.
//!
//! The safe crate reads one record a call, at 1.5 times the cost. This file is one of the few with `unsafe`: everything that touches
//! librdkafka's memory is here, and no pointer leaves it.
#![expect(unsafe_code, reason = "librdkafka's batch calls have no safe wrapper")]

use std::{ffi::CString, fmt, marker::PhantomData, ptr, slice};

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::RDKafkaErrorCode,
};
use rdkafka_sys as sys;

/// Records fetched by one call; librdkafka hands out what it has, up to this many.
const PER_CALL: usize = 1024;

/// The queue of one assigned partition, cut off from the consumer's main queue.
///
/// Must not outlive its consumer: the reader drops its queues before the consumer.
pub(super) struct PartitionQueue {
    queue: ptr::NonNull<sys::rd_kafka_queue_t>,
    messages: Vec<*mut sys::rd_kafka_message_t>,
}

// SAFETY: librdkafka's queues may be used from any thread; the pointer buffer is empty between calls.
unsafe impl Send for PartitionQueue {}

impl fmt::Debug for PartitionQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionQueue").finish_non_exhaustive()
    }
}

/// One record, borrowed from librdkafka for the length of a callback.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    message: *const sys::rd_kafka_message_t,
    lifetime: PhantomData<&'a [u8]>,
}

impl PartitionQueue {
    /// Takes the queue of a partition and stops its forwarding to the main queue.
    ///
    /// Call it before the partition is assigned: librdkafka leaves a forwarding that the application set alone, so no record takes the other way.
    pub(super) fn split<C: ConsumerContext>(
        consumer: &BaseConsumer<C>,
        topic: &str,
        partition: i32,
    ) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client pointer is valid while `consumer` lives; the topic is a C string; a null queue is handled.
        let queue = unsafe {
            sys::rd_kafka_queue_get_partition(
                consumer.client().native_ptr(),
                topic.as_ptr(),
                partition,
            )
        };
        let queue = ptr::NonNull::new(queue)?;
        // SAFETY: `queue` was just returned by librdkafka; a null destination means "stop forwarding".
        unsafe { sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        Some(Self { queue, messages: Vec::with_capacity(PER_CALL) })
    }

    /// Hands every record that is there now to `each`, at most `max`, without waiting. Returns how many there were.
    ///
    /// An entry that is no record but an error of the partition goes to `fault`.
    pub(super) fn drain(
        &mut self,
        max: usize,
        mut each: impl FnMut(Record<'_>),
        mut fault: impl FnMut(RDKafkaErrorCode),
    ) -> usize {
        let room = max.min(PER_CALL);
        // SAFETY: the buffer has room for PER_CALL pointers; librdkafka fills the first `n` of them.
        let n = unsafe {
            sys::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                0,
                self.messages.as_mut_ptr(),
                room,
            )
        };
        let n = usize::try_from(n).unwrap_or(0);
        // SAFETY: the first `n` pointers were written by the call above and are valid messages that we now own.
        let messages = unsafe { slice::from_raw_parts(self.messages.as_ptr(), n) };
        for &message in messages {
            // SAFETY: `message` is valid until it is destroyed below.
            let err = unsafe { (*message).err };
            if err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                each(Record { message, lifetime: PhantomData });
            } else {
                fault(err.into());
            }
            // SAFETY: we own the message and nothing borrowed from it outlives this turn of the loop.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
        n
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: the queue came from librdkafka and is released once.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

impl<'a> Record<'a> {
    /// The value; `None` is Kafka's null.
    pub(super) fn payload(self) -> Option<&'a [u8]> {
        // SAFETY: a message's payload pointer and length describe memory that lives as long as the message.
        unsafe { bytes((*self.message).payload, (*self.message).len) }
    }

    /// The key; `None` is Kafka's null.
    pub(super) fn key(self) -> Option<&'a [u8]> {
        // SAFETY: as for the payload.
        unsafe { bytes((*self.message).key, (*self.message).key_len) }
    }

    /// The offset.
    pub(super) fn offset(self) -> i64 {
        // SAFETY: the message is valid.
        unsafe { (*self.message).offset }
    }

    /// Milliseconds since 1970; `None` where the record has none.
    pub(super) fn time(self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid and `kind` is a place to write to.
        let time = unsafe { sys::rd_kafka_message_timestamp(self.message, &raw mut kind) };
        (kind != sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && time >= 0)
            .then_some(time)
    }

    /// Name and value of every header, in order.
    pub(super) fn headers(self, mut each: impl FnMut(&[u8], Option<&[u8]>)) {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is valid; on success `headers` points at a list that the message owns.
        let found = unsafe { sys::rd_kafka_message_headers(self.message, &raw mut headers) };
        if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for index in 0.. {
            let (mut name, mut value, mut len) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the list is valid; an index past its end answers with an error.
            let found = unsafe {
                sys::rd_kafka_header_get_all(
                    headers,
                    index,
                    &raw mut name,
                    &raw mut value,
                    &raw mut len,
                )
            };
            if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return;
            }
            // SAFETY: a header's name is a C string and its value `len` bytes (or null), owned by the message.
            unsafe {
                each(std::ffi::CStr::from_ptr(name).to_bytes(), bytes(value.cast_mut(), len));
            };
        }
    }
}

/// The bytes at a pointer of librdkafka's, `None` for null.
///
/// # Safety
/// A pointer that is not null must be good for `len` bytes for the lifetime that the caller chooses.
unsafe fn bytes<'a>(pointer: *mut std::ffi::c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: by the contract above.
    (!pointer.is_null())
        .then(|| unsafe { slice::from_raw_parts(pointer.cast::<u8>().cast_const(), len) })
}

/// Where the broker's answers to commits come: the safe crate hears of none.
pub(super) struct CommitQueue {
    queue: ptr::NonNull<sys::rd_kafka_queue_t>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for CommitQueue {}

impl fmt::Debug for CommitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitQueue").finish_non_exhaustive()
    }
}

/// How one partition's part of a commit ended.
#[derive(Debug)]
pub(super) struct CommitAnswer {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) outcome: Result<(), RDKafkaErrorCode>,
}

impl CommitQueue {
    /// A queue of a consumer; it must be dropped before the consumer is.
    pub(super) fn new<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Self> {
        // SAFETY: the client pointer is valid while `consumer` lives; a null queue is handled.
        let queue = unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Some(Self { queue: ptr::NonNull::new(queue)? })
    }

    /// Sends a commit; its answer comes through [`CommitQueue::poll`].
    pub(super) fn commit<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        list: &TopicPartitionList,
    ) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: client, list and queue are valid; librdkafka copies the list.
        let code = unsafe {
            sys::rd_kafka_commit_queue(
                consumer.client().native_ptr(),
                list.ptr(),
                self.queue.as_ptr(),
                None,
                ptr::null_mut(),
            )
        };
        answer(code)
    }

    /// The answer to a commit, if one came: one entry a partition, and what was wrong with the request as a whole.
    pub(super) fn poll(
        &self,
        wait_ms: i32,
    ) -> Option<(Result<(), RDKafkaErrorCode>, Vec<CommitAnswer>)> {
        // SAFETY: the queue is valid; an event that is returned is ours until it is destroyed below, and nothing borrowed from it outlives that.
        unsafe {
            let event = ptr::NonNull::new(sys::rd_kafka_queue_poll(self.queue.as_ptr(), wait_ms))?;
            let whole = answer(sys::rd_kafka_event_error(event.as_ptr()));
            let list = sys::rd_kafka_event_topic_partition_list(event.as_ptr());
            let elements = match list.as_ref() {
                Some(list) if list.cnt > 0 => slice::from_raw_parts(list.elems, list.cnt as usize),
                _ => &[],
            };
            let answers = elements
                .iter()
                .map(|element| CommitAnswer {
                    topic: std::ffi::CStr::from_ptr(element.topic).to_string_lossy().into_owned(),
                    partition: element.partition,
                    outcome: answer(element.err),
                })
                .collect();
            sys::rd_kafka_event_destroy(event.as_ptr());
            Some((whole, answers))
        }
    }
}

impl Drop for CommitQueue {
    fn drop(&mut self) {
        // SAFETY: the queue came from librdkafka and is released once.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

fn answer(code: sys::rd_kafka_resp_err_t) -> Result<(), RDKafkaErrorCode> {
    match code {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(code.into()),
    }
}

/// What stands beside a committed offset, as bytes: the safe crate panics where somebody else wrote no UTF-8 there.
pub(super) fn metadata(list: &TopicPartitionList, topic: &str, partition: i32) -> Option<Vec<u8>> {
    let topic = CString::new(topic).ok()?;
    // SAFETY: the list is valid while it is borrowed; an element that is found lives as long as the list, and its metadata is memory of that
    // size, or null.
    unsafe {
        let found = sys::rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), partition);
        let element = found.as_ref()?;
        bytes(element.metadata, element.metadata_size).map(<[u8]>::to_vec)
    }
}

/// First and one past the last offset as librdkafka last heard them from a fetch; no round trip.
pub(super) fn cached_watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<(i64, i64)> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client pointer is valid while `consumer` lives, the topic is a C string, both numbers are places to write to.
    let code = unsafe {
        let client = consumer.client().native_ptr();
        sys::rd_kafka_get_watermark_offsets(
            client,
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    (code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && low >= 0 && high >= 0)
        .then_some((low, high))
}
