//! Finding the agent of a store on this machine by the store's lock file.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::Path;

use super::Address;
use crate::base::holder::{Holder, lock_beside};

/// The holder named in a store's lock file, if someone holds it right now.
pub fn holder_of(store: &Path) -> Option<Holder> {
    let mut file = File::open(lock_beside(store)).ok()?;
    // Whoever can take the lock knows that no one has it.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        _ => return None,
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_slice(text.as_bytes()).ok()
}

/// Where a holder answers: its socket, where the kernel says who is calling, else its address.
pub fn address_of(holder: &Holder) -> Address {
    match &holder.socket {
        Some(socket) => Address::Unix(socket.into()),
        None => Address::Http(holder.address.clone()),
    }
}
