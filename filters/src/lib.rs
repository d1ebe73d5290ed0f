//! What Riparian decides, and why. Facts go in, a value comes out: no sockets, no clock, no locks, no randomness.
//!
//! The stages of a request that live here, in order; `explain`, the fuzzers, the benches and production run the same ones.
//!
//! | stage | asks | where |
//! |---|---|---|
//! | admit | is the head one that only one reading has? | [`head`] |
//! | recognise | which API operation? | [`surface`] |
//! | scan | what does the body say of state? | [`scan`], [`form`] |
//! | classify | how much state, and which handles? | [`classify`] |
//! | identify | which session, whose? | [`identify`] |
//! | judge | what does the contract in force allow? | [`table`], [`mod@judge`] |
//! | select | which endpoint, and which next? | [`mod@select`] |
//! | prepare | what must that endpoint see? | [`rewrite`], [`seal`] |
//! | observe | which handles were born, what did it cost? | [`learn`], [`meter`], [`sse`], [`eventstream`], [`frame`] |
//!
//! What all of them can do together is proved by [`mod@prove`]. [`policy::Policy`] is the configuration compiled for them, and [`decision::Decision`] what comes out.

pub mod classify;
pub mod decide;
pub mod decision;
pub mod eventstream;
pub mod form;
pub mod frame;
pub mod head;
pub mod identify;
pub mod judge;
pub mod learn;
pub mod meter;
mod patterns;
pub mod policy;
pub mod prove;
pub mod readings;
pub mod rewrite;
pub mod scan;
pub mod seal;
pub mod select;
mod serving;
pub mod sse;
pub mod surface;
pub mod table;
