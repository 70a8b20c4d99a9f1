//! Rules of delivering: delivery.
