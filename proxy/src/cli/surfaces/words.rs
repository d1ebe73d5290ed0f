//! Facts of the surface table in words.

use riparian_config::{
    Birth, Condition, Echo, Grade, HandleKind, Mark, Marks, Namespace, Signal, Surface, Take,
};
use std::time::Duration;

/// `30d`, `90m`, `1h`: as the surface files have it, in the largest unit that leaves nothing over.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let (by, unit) = units.into_iter().find(|(by, _)| seconds.is_multiple_of(*by)).unwrap_or((1, "s"));
    format!("{}{unit}", seconds / by)
}

/// `GET, POST /files/{file}`.
pub(super) fn operation(surface: &Surface) -> String {
    format!("{} {}", surface.methods.join(", "), surface.path)
}

/// How a request is told from that of another family: one phrase for each mark.
pub(super) fn marks(marks: &Marks) -> Vec<String> {
    let headers = marks.headers.iter().map(|name| format!("header `{name}`"));
    let hosts = marks.hosts.iter().map(|host| format!("host `{host}`"));
    let query = marks.query.iter().map(|name| format!("query `{name}`"));
    let authorization = marks.authorization.iter().map(|word| format!("authorization `{word}`"));
    headers.chain(hosts).chain(query).chain(authorization).collect()
}

/// `` `/store` unless false ``.
pub(crate) fn condition(signal: &Signal) -> String {
    let list =
        |words: &[String]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
    let when = match &signal.when {
        // A string at a handle's place is the handle.
        Condition::Present | Condition::String => String::new(),
        Condition::True => " true".to_owned(),
        Condition::OneOf(words) => format!(" is {}", list(words)),
        Condition::Prefix(words) => format!(" begins with {}", list(words)),
        Condition::UnlessFalse => " unless false".to_owned(),
        Condition::OnlyKeys(keys) => format!(" with no keys but {}", list(keys)),
    };
    format!("`{}`{when}", signal.at)
}

/// `` `/previous_response_id`: continues, response ``.
pub(super) fn signal(signal: &Signal, surface: &Surface) -> String {
    let grade = (signal.grade > surface.grade).then(|| signal.grade.as_str());
    let kind = signal.handle.as_ref().map(Namespace::as_str);
    let says: Vec<&str> = grade.into_iter().chain(kind).collect();
    let last = if signal.take == Take::LastSegment { " (last segment)" } else { "" };
    format!("{}: {}{last}", condition(signal), says.join(", "))
}

/// Where in an answer something is: `` JSON `/id` ``.
pub(super) fn places(echo: &Echo) -> Vec<String> {
    let pointers =
        [("JSON", &echo.json), ("SSE", &echo.sse), ("event", &echo.event), ("socket", &echo.socket)];
    let pointers = pointers.into_iter().filter_map(|(form, at)| Some(format!("{form} `{}`", at.as_ref()?)));
    pointers.chain(echo.header.iter().map(|name| format!("header `{name}`"))).collect()
}

/// `` response in JSON `/id`, SSE `/response/id` ``.
pub(super) fn birth(birth: &Birth) -> String {
    let last = if birth.take == Take::LastSegment { " (last segment)" } else { "" };
    let always = if birth.always { ", stored or not" } else { "" };
    format!("{} in {}{last}{always}", birth.handle, places(&birth.at).join(", "))
}

/// The grades that a request on a surface can have, the surface's own first.
pub(super) fn grades(surface: &Surface) -> Vec<Grade> {
    let mut grades: Vec<Grade> = surface.signals.iter().map(|signal| signal.grade).collect();
    grades.retain(|grade| *grade > surface.grade);
    grades.push(surface.grade);
    grades.sort_unstable();
    grades.dedup();
    grades
}

/// `30d after birth`, `20m unused`, or as long as pins are kept.
pub(super) fn lifetime(kind: &HandleKind) -> String {
    let lives = kind.lives.map(|time| format!("{} after birth", span(time)));
    let idle = kind.idle.map(|time| format!("{} unused", span(time)));
    match (lives, idle) {
        (None, None) => "as pins are kept".to_owned(),
        (lives, idle) => lives.into_iter().chain(idle).collect::<Vec<_>>().join(", "),
    }
}

/// What a request meets whose handle of this kind is not known.
pub(super) fn when_unknown(kind: &HandleKind) -> &'static str {
    match (kind.mark, &kind.ask) {
        (Some(Mark::Asserted), _) => "bound to the endpoint of its first request",
        (Some(Mark::Located), Some(_)) => {
            "`resources` of the endpoints; else `unknown_handle`, `ask` included"
        }
        (Some(Mark::Located), None) => "`resources` of the endpoints; else `unknown_handle`",
        (_, Some(_)) => "`unknown_handle`, `ask` included",
        (_, None) => "`unknown_handle`",
    }
}
