//! Riparian: a streaming proxy in front of model endpoints that is allowed to say no.
//!
//! It finds out how much server-side state a request depends on, reads the contract that is in force at that moment, and sends
//! the request only to a cloud that the contract names. State stays with the endpoint that holds it. What the contract
//! does not allow is refused, never rerouted.
//!
//! # Life of a request
//!
//! | # | stage | asks | where | may wait? |
//! |---|---|---|---|---|
//! | 1 | **admit** | is the head one that only one reading has; within limits; from a stranger, where none is let in? | [`front`], [`receive`] | no |
//! | 2 | **recognise** | which API operation? | [`riparian_filters::surface`] | no |
//! | 3 | **scan** | what does the body say of state? | [`read`], [`riparian_filters::scan`] | the body, bounded in time and bytes |
//! | 4 | **classify** | how much state, and which handles? | [`riparian_filters::classify`] | no |
//! | 5 | **identify** | which session, whose? | [`riparian_filters::identify`] | no |
//! | 6 | **recall** | where does that state live? | [`pins`], or the seals that stood behind the handles ([`seals`]); skipped when there is no handle | the store, with a timeout |
//! | 7 | **judge** | what does the contract in force allow? | [`riparian_filters::judge`] | no |
//! | 8 | **select** | which endpoint, and which next? | [`riparian_filters::select`], [`carry`] | no |
//! | 9 | **prepare** | what must that endpoint see? | [`riparian_filters::rewrite`], [`prepare`], [`credentials`], [`sigv4`] | no |
//! | 10 | **relay** | is that who was meant; then bytes both ways | [`witness`], [`carry`], [`relay`], [`answer`] | I/O |
//! | 11 | **observe** | which handles were born, what did it cost? | [`riparian_filters::learn`], [`riparian_filters::meter`], [`observe`] | never |
//! | 12 | **settle** | write it down, once | [`settle`], [`sessions`] | never: a queue |
//!
//! A refusal at any stage leaves by one door ([`refuse`]) and still settles. A retry returns to **select** with the *same*
//! verdict: the candidate set is computed before any balancing, and retry and failover walk along it and know nothing
//! else. An empty set is a refusal.
//!
//! A WebSocket is one request, too; what is said on it goes through stages 3 to 7 message by message ([`socket`]).

#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the life of a request is for those who read the code, private parts included"
)]

mod admin;
mod answer;
mod ask;
mod carry;
pub mod cli;
pub mod credentials;
pub mod endpoints;
pub mod front;
pub mod gate;
pub mod house;
mod http2;
pub mod locks;
pub mod meter;
pub mod metrics;
pub mod observe;
mod peer;
pub mod pins;
pub mod prepare;
pub mod proof;
mod read;
pub mod recall;
pub mod receive;
pub mod record;
pub mod refuse;
mod relay;
mod seals;
pub mod server;
pub mod sessions;
pub mod settle;
pub mod sigv4;
pub mod snapshot;
mod socket;
mod terms;
mod tls;
mod witness;
mod workers;
