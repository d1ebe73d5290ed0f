//! The fake clouds are strict: what the real one refuses, they refuse, and they remember everything that arrived.

mod common;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::Client;
use http::StatusCode;
use http_body_util::BodyExt as _;
use riparian_loadtest::cloud::sha256;
use riparian_loadtest::{CloudSpec, Credential, FakeCloud, Kind, Outcome, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const CHAT: &str = r#"{"model":"gpt-5.5","messages":[{"role":"user","content":"hello"}]}"#;

async fn start(kind: Kind, name: &str) -> io::Result<FakeCloud> {
    FakeCloud::start(CloudSpec::new(kind, name)).await
}

#[tokio::test]
async fn a_request_is_answered_and_remembered() -> io::Result<()> {
    let cloud = start(Kind::OpenAi, "vendor").await?;
    let headers = [("x-loadtest-nonce", "n1"), ("x-riparian-session", "s1"), ("x-api-key", "somebody's")];
    let reply = Client::new().send_with(&cloud, "POST /v1/chat/completions?x=1", CHAT, &headers).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.headers["x-loadtest-nonce"], "n1");
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "vendor turn 1 n1");
    let [seen] = &cloud.seen()[..] else { panic!("one request was sent") };
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v1/chat/completions?x=1"));
    assert_eq!((seen.body_bytes, seen.body_sha256), (CHAT.len() as u64, sha256(CHAT.as_bytes())));
    assert_eq!((seen.operation, seen.model.as_deref()), (Some("chat.create"), Some("gpt-5.5")));
    assert_eq!((seen.outcome, seen.status, seen.credential), (Outcome::Ok, 200, Credential::Right));
    assert!(seen.stray_credential, "an x-api-key that is not ours came along");
    assert_eq!(seen.header("x-riparian-session"), Some("s1"));
    assert_eq!((seen.header("authorization"), seen.header("x-api-key")), (Some("right"), Some("wrong")));
    let counts = cloud.counts();
    assert_eq!((counts.requests, counts.ok, counts.stateless, counts.open), (1, 1, 1, 0));
    cloud.clear();
    assert!(cloud.seen().is_empty() && cloud.counts().requests == 0);
    cloud.stop().await;
    Ok(())
}

#[tokio::test]
async fn credentials_models_and_paths_are_checked() -> io::Result<()> {
    let client = Client::new();
    for kind in [Kind::Azure, Kind::Bedrock, Kind::OpenAi] {
        let cloud = start(kind, "c").await?;
        let base = kind.base_path();
        let chat = format!("POST {base}/chat/completions");
        let model = cloud.spec().models[0].clone();
        let body = CHAT.replace("gpt-5.5", &model);
        assert_eq!(client.send(&cloud, &chat, &body).await.status, 200, "{kind:?}");
        let wrong = client.send(&cloud, &chat, &body.replace(&model, "nope")).await;
        assert_eq!(wrong.status, 404, "{kind:?}");
        let code = if kind == Kind::Azure { "DeploymentNotFound" } else { "model_not_found" };
        assert_eq!(wrong.json()["error"]["code"], code);
        assert_eq!(client.send(&cloud, &format!("POST {base}/nope"), &body).await.status, 404, "{kind:?}");
        assert_eq!(client.send(&cloud, &chat, "{").await.status, 400, "{kind:?}");
        let counts = cloud.counts();
        assert_eq!(
            (counts.ok, counts.wrong_model, counts.unknown_path, counts.bad_body),
            (1, 1, 1, 1),
            "{kind:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_401_and_counted() -> io::Result<()> {
    for kind in [Kind::Azure, Kind::Bedrock, Kind::OpenAi] {
        let cloud = start(kind, "c").await?;
        for header in ["", "authorization: Bearer nope\r\n", "api-key: nope\r\n"] {
            let answer = raw(
                &cloud,
                &format!(
                    "GET {}/models HTTP/1.1\r\nhost: x\r\n{header}connection: close\r\n\r\n",
                    kind.base_path()
                ),
            )
            .await?;
            assert!(answer.starts_with("HTTP/1.1 401 "), "{kind:?} {header:?}: {answer}");
        }
        let key = format!("api-key: {}\r\n", cloud.spec().credential);
        let line =
            format!("GET {}/models HTTP/1.1\r\nhost: x\r\n{key}connection: close\r\n\r\n", kind.base_path());
        let answer = raw(&cloud, &line).await?;
        let status = if kind == Kind::Azure { "200" } else { "401" };
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "api-key is Azure's header; {kind:?}: {answer}"
        );
        assert_eq!(cloud.counts().wrong_credential, if kind == Kind::Azure { 3 } else { 4 });
    }
    Ok(())
}

async fn raw(cloud: &FakeCloud, request: &str) -> io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(cloud.addr()).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn azure_has_dated_paths_where_the_deployment_decides() -> io::Result<()> {
    let cloud = start(Kind::Azure, "azure").await?;
    let client = Client::new();
    let dated = "POST /openai/deployments/gpt-5.5/chat/completions";
    let body = CHAT.replace("gpt-5.5", "whatever");
    assert_eq!(client.send(&cloud, &format!("{dated}?api-version=2024-10-21"), &body).await.status, 200);
    assert_eq!(client.send(&cloud, dated, &body).await.status, 404, "api-version is required");
    let other = dated.replace("gpt-5.5", "nope");
    assert_eq!(client.send(&cloud, &format!("{other}?api-version=2024-10-21"), &body).await.status, 404);
    let seen = cloud.seen();
    assert_eq!(seen[0].model.as_deref(), Some("gpt-5.5"));
    assert_eq!(seen[0].body_model.as_deref(), Some("whatever"));
    Ok(())
}

#[tokio::test]
async fn a_chain_lives_where_it_was_born() -> io::Result<()> {
    let (home, other) = (start(Kind::OpenAi, "home").await?, start(Kind::OpenAi, "other").await?);
    let client = Client::new();
    let follow = |id: &str| format!(r#"{{"model":"gpt-5.5","input":"x","previous_response_id":"{id}"}}"#);
    let first = client.send(&home, "POST /v1/responses", r#"{"model":"gpt-5.5","input":"x"}"#).await.json();
    let id = first["id"].as_str().expect("a response has an id");
    let second = client.send(&home, "POST /v1/responses", &follow(id)).await.json();
    assert_eq!(second["output"][0]["content"][0]["text"], "home turn 2");
    assert_eq!(second["previous_response_id"], id);
    let misplaced = client.send(&other, "POST /v1/responses", &follow(id)).await;
    assert_eq!(misplaced.status, 400);
    assert_eq!(misplaced.json()["error"]["code"], "previous_response_not_found");
    assert_eq!(client.send(&other, &format!("GET /v1/responses/{id}"), "").await.status, 404);
    assert_eq!(other.counts().foreign_handle, 2);
    assert_eq!(client.send(&home, &format!("DELETE /v1/responses/{id}"), "").await.status, 200);
    assert_eq!(client.send(&home, &format!("GET /v1/responses/{id}"), "").await.status, 404);
    let counts = home.counts();
    assert_eq!(
        (counts.gone_handle, counts.foreign_handle),
        (1, 0),
        "a deleted handle is not a misplaced one"
    );
    assert_eq!((counts.creates, counts.continues), (1, 2));
    Ok(())
}

#[tokio::test]
async fn store_false_keeps_nothing() -> io::Result<()> {
    let cloud = start(Kind::Bedrock, "aws").await?;
    let client = Client::new();
    let body = r#"{"model":"openai.gpt-5.5","input":"x","store":false}"#;
    let id = client.send(&cloud, "POST /openai/v1/responses", body).await.json()["id"].clone();
    let line = format!("GET /openai/v1/responses/{}", id.as_str().expect("a response has an id"));
    let (gone, unknown) = (
        client.send(&cloud, &line, "").await,
        client.send(&cloud, "GET /openai/v1/responses/resp_x", "").await,
    );
    assert_eq!((gone.status, unknown.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(gone.body, unknown.body, "this vendor says the same of both");
    assert_eq!((cloud.counts().stateless, cloud.counts().creates), (1, 0));
    Ok(())
}

#[tokio::test]
async fn a_conversation_counts_its_turns() -> io::Result<()> {
    let (home, other) = (start(Kind::OpenAi, "home").await?, start(Kind::Azure, "other").await?);
    let client = Client::new();
    let id = client.send(&home, "POST /v1/conversations", "{}").await.json()["id"].clone();
    let body = format!(r#"{{"model":"gpt-5.5","input":"x","conversation":{{"id":{id}}}}}"#);
    client.send(&home, "POST /v1/responses", &body).await;
    let second = client.send(&home, "POST /v1/responses", &body).await.json();
    assert_eq!(second["output"][0]["content"][0]["text"], "home turn 2");
    assert_eq!(second["conversation"]["id"], id);
    let misplaced = client.send(&other, "POST /openai/v1/responses", &body).await;
    assert_eq!(misplaced.status, 404);
    assert_eq!(other.counts().foreign_handle, 1);
    Ok(())
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed() -> io::Result<()> {
    let spec = CloudSpec::new(Kind::OpenAi, "slow").streaming(1000, Duration::from_millis(20));
    let cloud = FakeCloud::start(spec).await?;
    let body = CHAT.replace('{', r#"{"stream":true,"#).replacen(r#"[{"stream":true,"#, "[{", 1);
    let client = Client::new();
    let mut response = client.open(&cloud, "POST /v1/chat/completions", &body).await.expect("a stream");
    response.body_mut().frame().await.expect("a first chunk").expect("a good one");
    drop((response, client));
    assert!(
        cloud.wait_for(Duration::from_secs(5), |counts| counts.client_gone == 1).await,
        "{:?}",
        cloud.counts()
    );
    let seen = cloud.seen();
    assert_eq!(seen[0].outcome, Outcome::ClientGone);
    assert!(seen[0].client_gone_after.is_some());
    Ok(())
}

#[tokio::test]
async fn http2_and_tls_are_spoken() -> io::Result<()> {
    let h2c = FakeCloud::start(CloudSpec::new(Kind::OpenAi, "h2c").protocol(Protocol::H2c)).await?;
    let reply = Client::h2c().send(&h2c, "POST /v1/chat/completions", CHAT).await;
    assert_eq!((reply.status.as_u16(), h2c.seen()[0].version), (200, http::Version::HTTP_2));

    let cert = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(io::Error::other)?;
    let (cert_pem, key_pem) = (cert.cert.pem(), cert.signing_key.serialize_pem());
    let tls = CloudSpec::new(Kind::OpenAi, "tls").protocol(Protocol::Tls { cert_pem, key_pem, h2: false });
    let tls = FakeCloud::start(tls).await?;
    assert!(tls.url().starts_with("https://"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.cert.der().clone()).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(tls.addr()).await?;
    let name = "localhost".try_into().expect("a good name");
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let key = &tls.spec().credential;
    let request = format!(
        "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}
