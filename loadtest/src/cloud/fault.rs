//! What can go wrong at a cloud, on request. A fault is set for the whole cloud at run time, for the next few requests, or
//! for one request by its `x-loadtest-fault` header (which a proxy forwards like any other header of its client).

use std::str::FromStr;
use std::time::Duration;

/// The request header that asks for a fault on this one request, in the grammar of [`Fault::from_str`].
pub const FAULT_HEADER: &str = "x-loadtest-fault";

/// A way to fail. Over HTTP/1.1 a reset is a TCP reset; over HTTP/2 it is a reset of the stream, so that one faulty
/// request does not take its neighbours on the same connection with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The listener is closed: connects are refused, idle connections are closed, running answers finish.
    /// Not available by header: a request that has arrived cannot be refused a connection.
    Refuse,
    /// The whole request is read, then the connection is reset.
    ResetBeforeHeaders,
    /// The connection is reset once this many bytes of the request's body have been read (or all of a smaller one).
    ResetMidBody(u64),
    /// This status in the vendor's error envelope, with `Retry-After` if given.
    Status {
        /// The HTTP status, for instance 429, 500 or 503.
        status: u16,
        /// Value of `Retry-After`, in whole seconds.
        retry_after_seconds: Option<u32>,
    },
    /// The request is read and never answered.
    Stall,
    /// Half of a stream is sent, then nothing more, with the connection open. Plain answers are not affected.
    StallMidStream,
    /// Half of a stream is sent, then the connection is closed without the last chunk. Plain answers are not affected.
    CutMidStream,
    /// The answer's head is sent only after this long.
    SlowFirstByte(Duration),
    /// The answer is gzip-compressed, whether or not the request accepts that.
    Gzip,
}

/// The text names no fault.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownFault(pub String);

impl std::fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no such fault: {:?}", self.0)
    }
}

impl std::error::Error for UnknownFault {}

impl std::fmt::Display for Fault {
    /// As [`Fault::from_str`] reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Refuse => f.write_str("refuse"),
            Fault::ResetBeforeHeaders => f.write_str("reset-before-headers"),
            Fault::ResetMidBody(bytes) => write!(f, "reset-mid-body:{bytes}"),
            Fault::Status { status, retry_after_seconds: None } => write!(f, "status-{status}"),
            Fault::Status { status, retry_after_seconds: Some(seconds) } => {
                write!(f, "status-{status}:{seconds}")
            }
            Fault::Stall => f.write_str("stall"),
            Fault::StallMidStream => f.write_str("stall-mid-stream"),
            Fault::CutMidStream => f.write_str("cut-mid-stream"),
            Fault::SlowFirstByte(delay) => write!(f, "slow-first-byte:{}", delay.as_millis()),
            Fault::Gzip => f.write_str("gzip"),
        }
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    /// `refuse`, `reset-before-headers`, `reset-mid-body[:BYTES]` (default 1024), `status-503[:RETRY_AFTER_SECONDS]`,
    /// `stall`, `stall-mid-stream`, `cut-mid-stream`, `slow-first-byte[:MILLISECONDS]` (default 1000), `gzip`.
    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let unknown = || UnknownFault(text.to_owned());
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument.parse::<u32>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        if let Some(status) = name.strip_prefix("status-") {
            let status =
                status.parse().ok().filter(|status| (400..600).contains(status)).ok_or_else(unknown)?;
            return Ok(Fault::Status { status, retry_after_seconds: argument });
        }
        match (name, argument) {
            ("reset-mid-body", bytes) => Ok(Fault::ResetMidBody(bytes.unwrap_or(1024).into())),
            ("slow-first-byte", ms) => {
                Ok(Fault::SlowFirstByte(Duration::from_millis(ms.unwrap_or(1000).into())))
            }
            ("refuse", None) => Ok(Fault::Refuse),
            ("reset-before-headers", None) => Ok(Fault::ResetBeforeHeaders),
            ("stall", None) => Ok(Fault::Stall),
            ("stall-mid-stream", None) => Ok(Fault::StallMidStream),
            ("cut-mid-stream", None) => Ok(Fault::CutMidStream),
            ("gzip", None) => Ok(Fault::Gzip),
            _ => Err(unknown()),
        }
    }
}

/// The fault that is set for the whole cloud, and for how many more requests.
#[derive(Debug, Default)]
pub(crate) struct FaultSlot {
    set: Option<(Fault, Option<u64>)>,
}

impl FaultSlot {
    pub(crate) fn set(&mut self, fault: Fault, requests: Option<u64>) {
        self.set = (requests != Some(0)).then_some((fault, requests));
    }

    pub(crate) fn clear(&mut self) {
        self.set = None;
    }

    /// The fault for the request that has just arrived; one of a limited number is used up.
    pub(crate) fn take(&mut self) -> Option<Fault> {
        let (fault, left) = self.set.as_mut()?;
        let fault = *fault;
        if let Some(left) = left {
            *left -= 1;
            if *left == 0 {
                self.set = None;
            }
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_others_do_not() {
        let retry = Fault::Status { status: 429, retry_after_seconds: Some(7) };
        for (text, fault) in [
            ("refuse", Fault::Refuse),
            ("reset-mid-body:9", Fault::ResetMidBody(9)),
            ("status-429:7", retry),
            ("slow-first-byte:20", Fault::SlowFirstByte(Duration::from_millis(20))),
            ("cut-mid-stream", Fault::CutMidStream),
        ] {
            assert_eq!(text.parse(), Ok(fault), "{text}");
            assert_eq!(fault.to_string(), text);
        }
        for text in ["", "stall:3", "status-200", "status-", "reset-mid-body:x", "Stall"] {
            assert!(text.parse::<Fault>().is_err(), "{text:?} must not name a fault");
        }
    }

    #[test]
    fn a_limited_fault_is_used_up() {
        let mut slot = FaultSlot::default();
        slot.set(Fault::Stall, Some(2));
        assert_eq!([slot.take(), slot.take(), slot.take()], [Some(Fault::Stall), Some(Fault::Stall), None]);
    }
}
