//! A pin outside this process' memory: bytes with a version and a MAC.
//!
//! Version 2, numbers big-endian, times in Unix milliseconds, 0 for none:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version |
//! | 8 | when it ends whatever happens (the scripts of the store `redis` read this and the next) |
//! | 8 | how many milliseconds without use end it |
//! | 8 | its birth |
//! | 8 | when it ends if it is not used any more |
//! | 8 | when the terms last allowed it to be there |
//! | 16 + 16 | session, tenant |
//! | 1 + n, 1 + n | endpoint, cloud |
//! | 16 | MAC over all before it and the key, with a key of `sessions.key` |

use super::Pin;
use riparian_config::{CloudName, EndpointName, Timestamp};
use riparian_filters::identify::{Keys, MAC_BYTES, PinKey, SessionId, Tenant};

const VERSION: u8 = 2;

/// A pin with its times, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) tenant: Tenant,
    pub(super) pin: Pin,
    pub(super) times: Times,
}

/// Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) born: u64,
    /// When it ends whatever happens.
    pub(super) hard: Option<u64>,
    /// How long without use ends it.
    pub(super) idle: Option<u64>,
    /// When it ends if it is not used any more.
    pub(super) ends: u64,
}

/// These bytes are not a pin that was written under this key with our root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forged;

impl Stored {
    pub(super) fn encode(&self, keys: &Keys, key: PinKey) -> Vec<u8> {
        let (endpoint, cloud) = (self.pin.endpoint.as_str(), self.pin.cloud.as_str());
        let mut bytes = Vec::with_capacity(72 + MAC_BYTES + endpoint.len() + cloud.len());
        bytes.push(VERSION);
        let times = &self.times;
        for time in [times.hard.unwrap_or(0), times.idle.unwrap_or(0), times.born, times.ends] {
            bytes.extend_from_slice(&time.to_be_bytes());
        }
        let since = u64::try_from(self.pin.since.as_millisecond()).unwrap_or(0);
        bytes.extend_from_slice(&since.to_be_bytes());
        bytes.extend_from_slice(&self.pin.session.bytes());
        bytes.extend_from_slice(&self.tenant.bytes());
        for name in [endpoint, cloud] {
            bytes.push(u8::try_from(name.len()).expect("names have at most 64 bytes"));
            bytes.extend_from_slice(name.as_bytes());
        }
        let mac = keys.mac(key, &bytes);
        bytes.extend_from_slice(&mac);
        bytes
    }

    pub(super) fn decode(keys: &Keys, key: PinKey, bytes: &[u8]) -> Result<Self, Forged> {
        let (value, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(Forged)?;
        if !keys.is_mac(key, value, mac) {
            return Err(Forged);
        }
        read(value).ok_or(Forged)
    }
}

fn read(value: &[u8]) -> Option<Stored> {
    let mut rest = value;
    if take::<1>(&mut rest)? != [VERSION] {
        return None;
    }
    let mut time = || take::<8>(&mut rest).map(u64::from_be_bytes);
    let (hard, idle, born, ends) = (time()?, time()?, time()?, time()?);
    let since = i64::try_from(u64::from_be_bytes(take(&mut rest)?)).ok()?;
    let since = Timestamp::from_millisecond(since).ok()?;
    let session = SessionId::from_bytes(take(&mut rest)?);
    let tenant = Tenant::from_bytes(take(&mut rest)?);
    let endpoint = EndpointName::new(name(&mut rest)?).ok()?;
    let cloud = CloudName::new(name(&mut rest)?).ok()?;
    let some = |time: u64| (time > 0).then_some(time);
    rest.is_empty().then_some(Stored {
        tenant,
        pin: Pin { endpoint, cloud, session, since },
        times: Times { born, hard: some(hard), idle: some(idle), ends },
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

fn name<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    let [len] = take(rest)?;
    let (name, after) = rest.split_at_checked(usize::from(len))?;
    *rest = after;
    std::str::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        Stored {
            tenant: Tenant::from_bytes([3; 16]),
            pin: Pin {
                endpoint: EndpointName::new("azure-one").unwrap(),
                cloud: CloudName::new("azure").unwrap(),
                session: SessionId::mint([7; 16]),
                since: Timestamp::from_millisecond(1_774_000_000_123).unwrap(),
            },
            times: Times { born: 1, hard: Some(u64::from(u32::MAX)), idle: None, ends: 9 },
        }
    }

    #[test]
    fn what_goes_in_comes_out_under_its_own_key_only() {
        let keys = Keys::derive(b"secret");
        let (key, other) = (PinKey::from_bytes([1; 16]), PinKey::from_bytes([2; 16]));
        let bytes = stored().encode(&keys, key);
        assert_eq!(Stored::decode(&keys, key, &bytes), Ok(stored()));
        assert_eq!(Stored::decode(&keys, other, &bytes), Err(Forged), "moved to another handle");
        assert_eq!(Stored::decode(&Keys::derive(b"other"), key, &bytes), Err(Forged));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Stored::decode(&keys, key, &changed), Err(Forged), "byte {at}");
            assert_eq!(Stored::decode(&keys, key, &bytes[..at]), Err(Forged), "cut at {at}");
        }
    }

    #[test]
    fn another_version_is_not_read_also_when_it_is_ours() {
        let (keys, key) = (Keys::derive(b"secret"), PinKey::from_bytes([1; 16]));
        let mut bytes = stored().encode(&keys, key);
        bytes.truncate(bytes.len() - MAC_BYTES);
        bytes[0] = VERSION + 1;
        bytes.extend_from_slice(&keys.mac(key, &bytes));
        assert_eq!(Stored::decode(&keys, key, &bytes), Err(Forged));
    }
}
