//! `POST /explain`: what would become of a request at this moment, by the configuration, the pins and the health that are in force.
//!
//! The body is the request as a person writes it; `?at=` asks of another instant. It only looks: no handle is bound or renewed, no
//! endpoint is asked, nothing is counted or logged. What comes back has no header, no body and no handle of the request, but handles'
//! digests.

use super::text;
use crate::cli::loaded::instant;
use crate::explain::{Explanation, Request as Asked, World, explain};
use crate::house::House;
use crate::pins::Pin;
use crate::recall::{Known, lives};
use crate::seals::Opener;
use crate::snapshot::Snapshot;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use riparian_config::{Grade, Timestamp};
use riparian_filters::identify::{LastTenant, PinKey};
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// Bytes of a request that is explained, its head included: a larger one is for the command line. With the connections that this
/// listener takes at once it bounds what operators can make it hold.
const ASKED_MAX: usize = 1 << 20;

/// How long that may take to arrive.
const ASKED_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn answer(house: &House, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match explained(house, request).await {
        Ok(told) => {
            let mut response = text(StatusCode::OK, format!("{:#}\n", told.without_handles().json()));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err((status, what)) => text(status, format!("{what}\n")),
    }
}

async fn explained(house: &House, request: Request<Incoming>) -> Result<Explanation, (StatusCode, String)> {
    if *request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "POST a request as a file has it".to_owned()));
    }
    let at = moment(request.uri().query()).map_err(|what| (StatusCode::BAD_REQUEST, what))?;
    let body = Limited::new(request.into_body(), ASKED_MAX).collect();
    let asked = match tokio::time::timeout(ASKED_WITHIN, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let what = format!("over {ASKED_MAX} bytes; `riparian explain` takes larger ones");
            return Err((StatusCode::PAYLOAD_TOO_LARGE, what));
        }
        Ok(Err(_)) => return Err((StatusCode::BAD_REQUEST, "the body broke off".to_owned())),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned())),
    };
    // What exactly is wrong could be said only in the request's own words.
    let none = "no HTTP/1.1 request: a line, headers, an empty line, a body as long as they say";
    let asked = Asked::parse(&asked).map_err(|_| (StatusCode::BAD_REQUEST, none.to_owned()))?;
    let snapshot = house.snapshot.load_full();
    // Which handles it cites is only known when it has been read.
    let keys = told(house, &snapshot, &asked, at, &[]).keys;
    let pins = house.pins.peek(&keys).await;
    let pins = pins.map_err(|fault| (StatusCode::SERVICE_UNAVAILABLE, fault.to_string()))?;
    let pinned: Vec<(PinKey, Option<Pin>)> = keys.into_iter().zip(pins).collect();
    Ok(told(house, &snapshot, &asked, at, &pinned))
}

/// `at=INSTANT`, or now.
fn moment(query: Option<&str>) -> Result<Timestamp, String> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(Timestamp::now()) };
    let at = query.strip_prefix("at=").ok_or("the one parameter is `at`")?;
    // A `+` before an offset and its `:` may come escaped.
    instant(&at.replace("%3A", ":").replace("%3a", ":").replace("%2B", "+").replace("%2b", "+"))
}

fn told(
    house: &House,
    snapshot: &Snapshot,
    asked: &Asked,
    at: Timestamp,
    pinned: &[(PinKey, Option<Pin>)],
) -> Explanation {
    let policy = &snapshot.policy;
    let tenant = policy.who(&mut LastTenant::default(), &asked.head()).tenant;
    let seals = Opener::new(snapshot, tenant).map(RefCell::new);
    let lives = |handle: &str, key: PinKey| -> Known {
        if let Some((_, Some(pin))) = pinned.iter().find(|(pinned, _)| *pinned == key) {
            return Some(lives(policy, pin));
        }
        let seals = seals.as_ref()?.borrow();
        let opened = seals.opened.iter().find(|opened| opened.handle == handle)?;
        Some(lives(policy, &opened.pin))
    };
    let down = snapshot.down();
    let in_flight: Vec<u32> = snapshot.states().map(|state| state.in_flight()).collect();
    let world = World {
        at,
        health: down.view(),
        in_flight: &in_flight,
        lives: &lives,
        grade_of: &|session| house.sessions.grade(session).unwrap_or(Grade::Runtime),
        rested: &|session| house.sessions.rested(session, Instant::now()),
        seals: seals.as_ref(),
    };
    explain(policy, asked, &world)
}
