//! The closed list of reasons, against the rules that the contract model sets for refusals.

use riparian_filters::decision::{Reason, Verdict};
use std::collections::HashSet;

/// What the contract itself refuses, in every state of the world: SDKs must not try these again.
const OF_THE_CONTRACT: [Reason; 9] = [
    Reason::NoTerm,
    Reason::TermsConflict,
    Reason::Forbidden,
    Reason::ReadingsDisagree,
    Reason::Narrowed,
    Reason::SessionDrained,
    Reason::Unrecognised,
    Reason::OwnerNotDesignated,
    Reason::OwnerRemoved,
];

/// What is over after a while.
const PASSING: [Reason; 7] = [
    Reason::OwnerUnavailable,
    Reason::PinsUnavailable,
    Reason::LedgerUnavailable,
    Reason::EndpointsDown,
    Reason::Overloaded,
    Reason::Draining,
    Reason::EpochBoundary,
];

#[test]
fn every_reason_has_a_word_of_its_own() {
    let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Reason::ALL.len(), "two reasons share a word");
    let reasons: HashSet<_> = Reason::ALL.iter().collect();
    assert_eq!(reasons.len(), Reason::ALL.len(), "a reason is listed twice");
    for reason in Reason::ALL {
        let word = reason.as_str();
        assert!(
            word.len() <= 24 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "`{word}` goes into headers, labels and logs as it is"
        );
        assert_eq!(reason.to_string(), word, "one word everywhere");
    }
}

#[test]
fn every_refusal_says_something_that_is_safe_to_show() {
    let advice: HashSet<_> = Reason::ALL.iter().map(|reason| reason.advice()).collect();
    assert_eq!(advice.len(), Reason::ALL.len(), "two reasons say the same");
    for reason in Reason::ALL {
        let text = reason.advice();
        let whole = text.starts_with(|c: char| c.is_ascii_uppercase()) && text.ends_with('.');
        // It stands in a JSON error envelope, and it is not escaped on every way there.
        let plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && !b"\"\\{}".contains(&byte));
        assert!(whole && plain, "{reason}: {text}");
    }
}

#[test]
fn statuses_follow_the_contract_model() {
    for reason in OF_THE_CONTRACT {
        assert_eq!(reason.status(), 403, "{reason}: SDKs retry 408, 409, 429 and 5xx");
    }
    for reason in PASSING {
        assert_eq!(reason.status(), 503, "{reason}");
    }
    for (reason, status) in [
        (Reason::UnknownHandle, 400),
        (Reason::OwnersDiffer, 400),
        (Reason::NotServed, 404),
        (Reason::Retired, 410),
        (Reason::BodyMalformed, 400),
        (Reason::BodyAmbiguous, 400),
        (Reason::BodyTooLarge, 413),
        (Reason::BodyEncoded, 415),
        (Reason::ModelMissing, 400),
        (Reason::ModelAmbiguous, 400),
        (Reason::HeadMalformed, 400),
        (Reason::HeadTooLarge, 431),
        (Reason::TargetTooLong, 414),
        (Reason::HeadTimeout, 408),
        (Reason::BodyTimeout, 408),
        (Reason::UpstreamTimeout, 504),
    ] {
        assert_eq!(reason.status(), status, "{reason}");
    }
}

#[test]
fn what_allows_what_passes_and_what_is_final_are_apart() {
    for reason in Reason::ALL {
        let status = reason.status();
        assert_eq!(reason.allows(), status == 200, "{reason}");
        assert_eq!(reason.is_passing(), PASSING.contains(reason), "{reason}");
        assert_eq!(reason.is_passing(), status == 503, "{reason}: 503 goes with Retry-After, and only that");
        assert!(status != 409 && status != 429, "{reason}: SDKs retry it, and it is the endpoints' to say");
        let ours = matches!(
            reason,
            Reason::Internal
                | Reason::UpstreamConnect
                | Reason::TlsVerify
                | Reason::EgressMismatch
                | Reason::UpstreamTimeout
                | Reason::UpstreamReset
        );
        assert_eq!(status >= 500 && !reason.is_passing(), ours, "{reason}: who is to blame");
    }
}

#[test]
fn a_verdict_has_the_reason_of_its_kind() {
    for reason in Reason::ALL.iter().filter(|reason| !reason.allows()) {
        let verdict = Verdict::Refuse(*reason);
        assert_eq!((verdict.as_str(), verdict.reason()), ("refuse", *reason));
        assert!(verdict.endpoints().is_empty(), "{reason}");
    }
}
