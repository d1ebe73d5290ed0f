//! Whose host is it? A cloud's label is checked against the suffixes that are known to belong to somebody.
//!
//! A wrong label is how a request reaches a cloud outside its designation while every table says that it did not.

/// Host suffixes and their owners. A host is meant when it is the suffix, or ends with `.` and the suffix.
const SUFFIXES: [(&str, &str); 22] = [
    ("azure.com", "azure"),
    ("azure.us", "azure"),
    ("azure.cn", "azure"),
    ("azure.net", "azure"),
    ("azure-api.net", "azure"),
    ("azure-api.us", "azure"),
    ("azurewebsites.net", "azure"),
    ("azurefd.net", "azure"),
    ("windows.net", "azure"),
    ("microsoft.com", "azure"),
    ("amazonaws.com", "aws"),
    ("amazonaws.com.cn", "aws"),
    ("amazonaws.eu", "aws"),
    ("api.aws", "aws"),
    ("on.aws", "aws"),
    ("cloudfront.net", "aws"),
    ("openai.com", "openai"),
    ("chatgpt.com", "openai"),
    ("anthropic.com", "anthropic"),
    ("claude.com", "anthropic"),
    ("googleapis.com", "google"),
    ("google.com", "google"),
];

/// The owner of `host` (lower case), if its suffix is known.
pub(crate) fn owner_of(host: &str) -> Option<&'static str> {
    let within = |suffix: &str| {
        host.strip_suffix(suffix).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    SUFFIXES.iter().find(|(suffix, _)| within(suffix)).map(|(_, owner)| *owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_ends_at_a_dot() {
        assert_eq!(owner_of("contoso.openai.azure.com"), Some("azure"));
        assert_eq!(owner_of("contoso.services.ai.azure.com"), Some("azure"));
        assert_eq!(owner_of("bedrock-runtime.us-east-1.amazonaws.com"), Some("aws"));
        assert_eq!(owner_of("bedrock-mantle.us-east-1.api.aws"), Some("aws"));
        assert_eq!(owner_of("api.openai.com"), Some("openai"));
        assert_eq!(owner_of("notopenai.com"), None);
        assert_eq!(owner_of("api.openai.com.example.org"), None);
        assert_eq!(owner_of("127.0.0.1"), None);
    }
}
