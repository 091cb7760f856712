// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What no safe library offers of sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Sets how many bytes have to wait in a TCP socket before `poll` calls it readable (`SO_RCVLOWAT`,
/// socket(7)); 1 is the system's default. A read takes what there is all the same, and the end of
/// the stream is told at once. When it is lowered, Linux (4.17 and later) tells of what waits
/// already; an older one does with the next bytes that come. May be called on any thread.
///
/// # Errors
///
/// When it is no socket, or the system refuses the value.
pub fn set_low_water_mark(socket: &impl AsFd, bytes: u16) -> io::Result<()> {
    let value = libc::c_int::from(bytes);
    // SAFETY: the descriptor is open while it is borrowed; the option reads an int from `value`, which
    // lives through the call, and is told its size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    fn is_readable(socket: &TcpStream, timeout_ms: i32) -> bool {
        let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which lives through the call.
        unsafe { libc::poll(&mut poll, 1, timeout_ms) == 1 }
    }

    #[test]
    fn few_bytes_are_not_told_of_until_the_mark_is_lowered_or_reached() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        set_low_water_mark(&ours, 100).unwrap();
        theirs.write_all(&[0; 99]).unwrap();
        assert!(!is_readable(&ours, 50));
        set_low_water_mark(&ours, 1).unwrap();
        assert!(is_readable(&ours, 5000));
        set_low_water_mark(&ours, 100).unwrap();
        theirs.write_all(&[0; 1]).unwrap();
        assert!(is_readable(&ours, 5000));
    }

    #[test]
    fn what_is_no_socket_has_no_mark() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(set_low_water_mark(&file, 1).is_err());
    }
}
