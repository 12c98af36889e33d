//! Loopback ports nobody else has.
//!
//! Two processes that look for a free port at the same moment would both find the same one, and the
//! second server would die, or worse, its client would talk to the first. So a port is claimed by a
//! locked file for as long as its server may want it, also between a kill and a restart. The files lie in
//! the system's temporary folder: ports are the machine's, whatever cache folder is in use.

use std::env;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::cache::{make_folder, open_lock};
use crate::error::{Doing, ServiceError};

/// Below the range that the kernel gives to outgoing connections, which starts at 32768.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that no other process of this crate will take.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Held, not read.
    _claim: File,
}

impl Port {
    /// Claims a free port anywhere in our range.
    pub(crate) fn claim() -> Result<Self, ServiceError> {
        let start = RandomState::new().hash_one(0_u8) % u64::from(COUNT);
        for step in 0..COUNT {
            let offset = (start as u32 + u32::from(step)) % u32::from(COUNT);
            if let Some(port) = Self::try_claim(FIRST + offset as u16)? {
                return Ok(port);
            }
        }
        let source = std::io::Error::other("all of them are taken");
        Err(source).doing(|| format!("find a free port from {FIRST}"))
    }

    /// Claims this very port, or another if it is taken.
    pub(crate) fn claim_near(number: u16) -> Result<Self, ServiceError> {
        match Self::try_claim(number)? {
            Some(port) => Ok(port),
            None => Self::claim(),
        }
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    fn try_claim(number: u16) -> Result<Option<Self>, ServiceError> {
        // One folder a user: what another user made could not be locked by us.
        let user = rustix::process::getuid().as_raw();
        let folder = env::temp_dir().join(format!("logmon-ports-{user}"));
        make_folder(&folder)?;
        let claim = open_lock(&folder.join(number.to_string()))?;
        let free =
            claim.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
        Ok(free.then_some(Self { number, _claim: claim }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, TcpListener};

    use super::Port;

    #[test]
    fn no_port_is_given_twice_nor_while_somebody_listens() {
        let ports: Vec<Port> = (0..20).map(|_| Port::claim().unwrap()).collect();
        let numbers: BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 20);
        assert!(numbers.iter().all(|it| *it < 32_768));
        let wanted = ports[0].number();
        assert_ne!(Port::claim_near(wanted).unwrap().number(), wanted);
        drop(ports);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).unwrap();
        assert_ne!(Port::claim_near(wanted).unwrap().number(), wanted);
        drop(listener);
        assert_eq!(Port::claim_near(wanted).unwrap().number(), wanted);
    }
}
