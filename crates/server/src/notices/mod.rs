//! Expiry notices on their way out: by mail, by webhook, as a calendar. What is due and whom it concerns is `app::notices`' business;
//! nothing here reads a credential.

pub mod calendar;
pub mod mail;
pub mod webhook;
