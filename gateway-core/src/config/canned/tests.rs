use super::*;

const CONFIG: &str = r#"
[[regions]]
name = "fra"
latitude = 50
longitude = 8.7
jurisdiction = "eu"

[[clusters]]
name = "gpus"
region = "fra"
engine = "vllm"
replicas = ["http://10.0.0.1:8000"]
kv_cache_tokens = 1_000
prefill_tokens_per_s = 9_000
max_running = 8

[[models]]
name = "large"
aliases = ["gpt"]
context_length = 4096
serving = [{ cluster = "gpus" }]

[[models]]
name = "small"
context_length = 4096
serving = [{ cluster = "gpus" }]

[[tenants]]
name = "acme"
keys = ["sha256:0000000000000000000000000000000000000000000000000000000000000001"]

[[tenants]]
name = "umbrella"
keys = ["sha256:0000000000000000000000000000000000000000000000000000000000000002"]
"#;

const TEXTS: &str = r#"
[canned]
maintenance = ["gpt"]

[[canned.texts]]
text = "any"

[[canned.texts]]
language = "de"
text = "any, de"

[[canned.texts]]
language = "pt-BR"
text = "any, pt-br"

[[canned.texts]]
reason = "maintenance"
text = "maintenance"

[[canned.texts]]
model = "gpt"
text = "large"

[[canned.texts]]
tenant = "acme"
text = "acme"

[[canned.texts]]
tenant = "acme"
reason = "budget"
text = "budget of acme"
"#;

fn config(more: &str) -> Config {
    Config::parse(&format!("{CONFIG}{more}"), None).unwrap_or_else(|errors| panic!("{errors}"))
}

fn found(config: &Config, (model, tenant): (&str, &str), reason: CannedReason, languages: &str) -> String {
    let tenant = TenantName::from(tenant);
    let wanted = CannedFor {
        model: &config.models[model],
        tenant: &tenant,
        reason,
        languages: &crate::language::accepted(languages),
    };
    config
        .canned
        .find(config, wanted)
        .map_or_else(String::new, Template::as_written)
}

#[test]
fn the_closest_text_is_found() {
    let config = config(TEXTS);
    for (of, reason, languages, expected) in [
        (("small", "umbrella"), CannedReason::Overload, "", "any"),
        (
            ("small", "umbrella"),
            CannedReason::Overload,
            "fr, de-AT;q=0.5",
            "any, de",
        ),
        (
            ("small", "umbrella"),
            CannedReason::Overload,
            "pt-BR;q=0.4, de;q=0.2",
            "any, pt-br",
        ),
        (("small", "umbrella"), CannedReason::Overload, "pt", "any"),
        (("small", "umbrella"), CannedReason::Maintenance, "de", "maintenance"),
        (("large", "umbrella"), CannedReason::Maintenance, "de", "large"),
        (("large", "acme"), CannedReason::Overload, "de", "acme"),
        (("large", "acme"), CannedReason::Budget, "de", "budget of acme"),
        (("large", "umbrella"), CannedReason::Budget, "", ""),
        (("large", "acme"), CannedReason::BlockedRegion, "", ""),
    ] {
        assert_eq!(
            found(&config, of, reason, languages),
            expected,
            "{of:?} {reason:?} {languages}"
        );
    }
    let canned = &config.canned;
    let (acme, umbrella) = (TenantName::from("acme"), TenantName::from("umbrella"));
    assert!(canned.is_in_maintenance(&config, &config.models["large"]));
    assert!(!canned.is_in_maintenance(&config, &config.models["small"]));
    assert!(canned.names(&acme, CannedReason::Budget) && !canned.names(&umbrella, CannedReason::Budget));
    assert!(!canned.names(&acme, CannedReason::BlockedRegion));
}

#[test]
fn a_text_that_names_a_reason_for_errors_makes_no_tier() {
    let config = config("[[canned.texts]]\ntenant = \"acme\"\nreason = \"budget\"\ntext = \"later\"\n");
    let acme = TenantName::from("acme");
    assert!(!config.canned.may_answer(&config, &config.models["large"], &acme));
}

#[test]
fn a_document_says_what_the_table_says() {
    let config = config(&TEXTS.replace("any, de", "\\\"{{model}}\\\"\\n\\u007f\u{e9}\\\\"));
    let document = config.canned.to_document();
    assert_eq!(
        CannedAnswers::parse(&document, None).as_ref(),
        Ok(&*config.canned),
        "{document}"
    );
    assert_eq!(
        CannedAnswers::parse(&document, Some(&config)).as_ref(),
        Ok(&*config.canned)
    );
    assert_eq!(CannedAnswers::parse("# nothing\n", None), Ok(CannedAnswers::default()));
}

#[test]
fn a_document_that_came_before_its_configuration_is_read_and_never_put() {
    let document = "[canned]\nmaintenance = [\"huge\"]\n\n[[canned.texts]]\nmodel = \"huge\"\ntenant = \"initech\"\ntext = \"x\"\n";
    let config = config("");
    let read = CannedAnswers::parse(document, None).expect("it is sound in itself");
    assert!(!read.may_answer(&config, &config.models["large"], &TenantName::from("acme")));
    let errors = CannedAnswers::parse(document, Some(&config))
        .expect_err("names of nothing")
        .to_string();
    let expected = [
        "canned.toml:2: canned.maintenance[0]: there is no model `huge`; expected one of `gpt`, `large`, `small`",
        "canned.toml:5: canned.texts[0].model: there is no model `huge`; expected one of `gpt`, `large`, `small`",
        "canned.toml:6: canned.texts[0].tenant: there is no tenant `initech`; expected one of `acme`, `umbrella`",
    ];
    assert_eq!(errors, expected.join("\n"));
}

#[test]
fn everything_that_is_wrong_with_a_document_is_told() {
    let document = r#"
        models = 1
        [[canned.texts]]
        reason = "holiday"
        language = "de_AT"
        text = "{{secret}}"
        [[canned.texts]]
        text = "x"
        [[canned.texts]]
        text = "y"
    "#;
    let errors = CannedAnswers::parse(document, None).expect_err("mistakes").to_string();
    for mistake in [
        "canned.toml:2: models: no such key",
        "canned.toml:4: canned.texts[0].reason: there is no reason `holiday`; expected one of `overload`, `maintenance`, \
         `blocked_region`, `budget`",
        "canned.toml:5: canned.texts[0].language: \"de_AT\" does not fit; expected the tag of a language",
        "canned.toml:6: canned.texts[0].text: there is no variable `secret`",
        "canned.toml:9: canned.texts[2]: a text for `all` is already in line 7",
    ] {
        assert!(errors.contains(mistake), "{mistake}\n{errors}");
    }
    let long = format!("# {}", "x".repeat(256 << 10));
    assert!(CannedAnswers::parse(&long, None).is_err());
    assert!(CannedAnswers::parse("= = =", None).is_err());
}
