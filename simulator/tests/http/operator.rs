//! What watches an engine: models, health, metrics, load header, key, records; and clients that leave.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tidegate_simulator::{EngineOptions, Profile, ServeError, bind};

use crate::harness::{Engine, MODEL, chat, request};

#[tokio::test]
async fn models_health_version_and_load() {
    let engine = Engine::with(Profile::Instant, |options| {
        options.models.push("alias".to_owned());
        options.adapters.push("tuned".to_owned());
    })
    .await;
    let models = engine.get("/v1/models").await.json();
    let ids: Vec<_> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        (ids, &models["object"]),
        (vec![MODEL, "alias", "tuned"], &json!("list"))
    );
    assert_eq!(
        (&models["data"][0]["object"], &models["data"][2]["parent"]),
        (&json!("model"), &json!(MODEL))
    );
    assert_eq!(
        (
            engine.get("/health").await.status.as_u16(),
            engine.get("/health").await.body.len()
        ),
        (200, 0)
    );
    assert!(engine.get("/version").await.json()["version"].is_string());
    assert_eq!(engine.get("/load").await.json()["server_load"], 0);
    let base = engine.chat(&chat("x", json!({}))).await.content();
    assert_eq!(
        engine.chat(&chat("x", json!({ "model": "alias" }))).await.content(),
        base
    );
    assert_ne!(
        engine.chat(&chat("x", json!({ "model": "tuned" }))).await.content(),
        base
    );
}

#[tokio::test]
async fn metrics_have_vllms_names_and_tell_what_happened() {
    let engine = Engine::start(Profile::Instant).await;
    let long = "A long prompt about harbors and tides. ".repeat(20);
    for _ in 0..2 {
        engine
            .chat(&chat(&long, json!({ "max_tokens": 5, "ignore_eos": true })))
            .await;
    }
    let page = engine.get("/metrics").await;
    assert_eq!(page.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "# HELP vllm:num_requests_waiting Number of requests waiting to be processed.",
        "# TYPE vllm:num_requests_waiting gauge",
        "vllm:num_requests_waiting_by_reason{engine=\"0\",model_name=\"sim\",reason=\"capacity\"} 0.0",
        "vllm:request_success_total{engine=\"0\",model_name=\"sim\",finished_reason=\"length\"} 2.0",
        "# TYPE vllm:time_to_first_token_seconds histogram",
        "vllm:time_to_first_token_seconds_bucket{engine=\"0\",model_name=\"sim\",le=\"+Inf\"} 2.0",
        "vllm:time_to_first_token_seconds_count{engine=\"0\",model_name=\"sim\"} 2.0",
    ] {
        assert!(
            page.text().lines().any(|written| written == line),
            "{line} in\n{}",
            page.text()
        );
    }
    assert!((engine.metric("vllm:generation_tokens_total").await - 10.0).abs() < 1e-9);
    let queries = engine.metric("vllm:prefix_cache_queries_total").await;
    let hits = engine.metric("vllm:prefix_cache_hits_total").await;
    assert!(hits > 100.0 && hits < queries / 2.0, "{hits} of {queries}");
    assert!(engine.metric("vllm:kv_cache_usage_perc").await.abs() < 1e-9);
}

#[tokio::test]
async fn the_load_header_comes_on_demand() {
    let engine = Engine::start(Profile::Instant).await;
    let ask = async |format: Option<&'static str>| {
        let mut request = request(Method::POST, "/v1/chat/completions", chat("x", json!({})).to_string());
        if let Some(format) = format {
            request
                .headers_mut()
                .insert("endpoint-load-metrics-format", format.parse().unwrap());
        }
        let answer = engine.try_send(request).await.unwrap();
        answer
            .headers
            .get("endpoint-load-metrics")
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let json_load = ask(Some("JSON")).await.unwrap();
    let load: Value = serde_json::from_str(json_load.strip_prefix("JSON ").unwrap()).unwrap();
    assert_eq!(
        load,
        json!({ "named_metrics": { "kv_cache_usage_perc": 0.0, "num_requests_waiting": 0 } })
    );
    let text = "TEXT named_metrics.kv_cache_usage_perc=0.0, named_metrics.num_requests_waiting=0";
    assert_eq!(ask(Some("TEXT")).await.as_deref(), Some(text));
    assert_eq!(ask(None).await, None);
}

#[tokio::test]
async fn a_key_is_required_when_there_is_one() {
    let engine = Engine::with(Profile::Instant, |options| options.api_key = Some("secret".to_owned())).await;
    let ask = async |authorization: Option<&'static str>| {
        let mut request = request(Method::GET, "/v1/models", "");
        if let Some(authorization) = authorization {
            request
                .headers_mut()
                .insert("authorization", authorization.parse().unwrap());
        }
        engine.try_send(request).await.unwrap()
    };
    assert_eq!(ask(Some("Bearer secret")).await.status, 200);
    for wrong in [None, Some("Bearer other"), Some("secret")] {
        let answer = ask(wrong).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (401, json!({ "error": "Unauthorized" }))
        );
    }
    assert_eq!(engine.get("/health").await.status, 200);
}

#[tokio::test]
async fn requests_are_shown_as_they_arrived() {
    let engine = Engine::start(Profile::Instant).await;
    let raw = "{\"model\":\"sim\",  \"zzz\":1.50, \"messages\":[{\"role\":\"user\",\"content\":\"mark-1 \\u00e9\"}]}";
    let mut sent = request(Method::POST, "/v1/chat/completions?x=1", raw);
    sent.headers_mut().append("x-twice", "a".parse().unwrap());
    sent.headers_mut().append("x-twice", "b".parse().unwrap());
    assert_eq!(engine.try_send(sent).await.unwrap().status, 200);
    engine.chat(&chat("mark-2", json!({ "model": "none" }))).await;
    let shown = engine.get("/sim/requests?match=mark-1%20").await.json()["requests"].clone();
    assert_eq!((shown.as_array().unwrap().len(), &shown[0]["body"]), (1, &json!(raw)));
    assert_eq!(
        (&shown[0]["path"], &shown[0]["method"], &shown[0]["outcome"]),
        (&json!("/v1/chat/completions?x=1"), &json!("POST"), &json!("finished"))
    );
    let twice = shown[0]["headers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|header| header[0] == "x-twice")
        .count();
    assert_eq!(twice, 2);
    assert_eq!(
        engine.get("/sim/requests?match=mark-2").await.json()["requests"][0]["outcome"],
        "failed"
    );
    assert_eq!(
        engine.get("/sim/requests?limit=1").await.json()["requests"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(engine.delete("/sim/requests").await.status, 204);
    let after = engine.get("/sim/requests").await.json();
    assert_eq!(
        (&after["requests"], &after["counters"]["started"]),
        (&json!([]), &json!(2))
    );
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_kv_cache() {
    for stream in [true, false] {
        let engine = Engine::start(Profile::Fast).await;
        let body = chat(
            "mark",
            json!({ "stream": stream, "max_tokens": 20_000, "ignore_eos": true }),
        );
        let mut sender = engine.connect().await;
        let answer = sender.send_request(request(Method::POST, "/v1/chat/completions", body.to_string()));
        let mut answer = Box::pin(answer);
        if stream {
            let mut body = answer.await.unwrap().into_body();
            assert!(body.frame().await.unwrap().unwrap().is_data());
            assert!((engine.metric("vllm:num_requests_running").await - 1.0).abs() < 1e-9);
            assert!(engine.metric("vllm:kv_cache_usage_perc").await > 0.0);
            drop(body);
        } else {
            assert!(
                tokio::time::timeout(Duration::from_millis(100), answer.as_mut())
                    .await
                    .is_err()
            );
            assert_eq!(engine.counter("running").await, 1);
            drop(answer);
        }
        drop(sender);
        engine
            .until("the abort", async |engine| engine.counter("aborted").await == 1)
            .await;
        assert!(engine.metric("vllm:num_requests_running").await.abs() < 1e-9);
        assert!(engine.metric("vllm:kv_cache_usage_perc").await.abs() < 1e-9);
        assert_eq!(
            engine.get("/sim/requests?match=mark").await.json()["requests"][0]["outcome"],
            "aborted"
        );
    }
}

#[tokio::test]
async fn requests_beyond_the_batch_wait() {
    let engine = Engine::with(Profile::Fast, |options| options.max_running = Some(2)).await;
    let body = chat("x", json!({ "max_tokens": 200, "ignore_eos": true }));
    let all = futures::future::join_all((0..5).map(|_| engine.chat(&body)));
    let watch = engine.until("three wait", async |engine| {
        (engine.metric("vllm:num_requests_waiting").await - 3.0).abs() < 1e-9
    });
    let (answers, ()) = tokio::join!(all, watch);
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 && answer.content() == answers[0].content())
    );
}

#[tokio::test]
async fn a_profile_takes_its_time_and_a_scale_changes_it() {
    let took = async |scale: f64| {
        let engine = Engine::with(Profile::H100x1With8b, |options| options.time_scale = scale).await;
        let started = std::time::Instant::now();
        engine
            .chat(&chat("x", json!({ "max_tokens": 26, "ignore_eos": true })))
            .await;
        started.elapsed()
    };
    // 26 tokens take at least 25 decode steps of 8 ms; how much more depends on who else uses this machine.
    let (doubled, as_it_is, tenth, nothing) = (took(2.0).await, took(1.0).await, took(0.1).await, took(0.0).await);
    assert!(doubled >= Duration::from_millis(400), "{doubled:?}");
    assert!(as_it_is >= Duration::from_millis(200), "{as_it_is:?}");
    assert!(tenth >= Duration::from_millis(20) && tenth < doubled, "{tenth:?}");
    assert!(nothing < as_it_is, "{nothing:?}");
}

#[tokio::test]
async fn options_that_make_no_engine_are_refused() {
    let with = async |change: fn(&mut EngineOptions)| {
        let mut options = EngineOptions::new(([127, 0, 0, 1], 0).into(), MODEL, Profile::Instant, 1);
        change(&mut options);
        bind(options).await.unwrap_err()
    };
    for change in [
        (|options| options.models.clear()) as fn(&mut EngineOptions),
        |options| options.time_scale = f64::NAN,
        |options| options.kv_cache_tokens = Some(10),
        |options| options.max_running = Some(0),
    ] {
        assert!(matches!(with(change).await, ServeError::Options(_)));
    }
    let engine = Engine::start(Profile::Instant).await;
    let options = EngineOptions::new(engine.address, MODEL, Profile::Instant, 1);
    assert!(
        bind(options)
            .await
            .unwrap_err()
            .to_string()
            .contains("cannot listen on 127.0.0.1:")
    );
}
