//! Rules of delivering: retry.
