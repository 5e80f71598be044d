//! Ending certificates before their time.
