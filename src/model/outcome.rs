//! Rules of delivering: outcome.
