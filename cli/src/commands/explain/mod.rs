//! `tidegate explain`: why a request went where it went, or where one would go; of a gateway that runs, or by a configuration
//! alone.

mod table;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tidegate_core::geo::Location;
use tidegate_core::{Body, Gateway};
use tidegate_native::{explain_alone, read_tables};

use self::table::table;
use super::operator::{self, Operator};
use crate::failure::Failure;
use crate::server;

/// What to explain.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// A file with the body of a request, as a client would send it; `-` reads it from stdin.
    #[arg(value_name = "REQUEST.json", required_unless_present = "request_id")]
    request: Option<PathBuf>,
    /// A request that was answered, by its `x-request-id`.
    #[arg(long, value_name = "ID", conflicts_with_all = ["request", "config"])]
    request_id: Option<String>,
    #[command(flatten)]
    gateway: operator::Gateway,
    /// Go by this configuration alone, as if nothing ran anywhere: no gateway is asked.
    #[arg(long, value_name = "CONFIG", conflicts_with = "url")]
    config: Option<PathBuf>,
    /// Folder with the token tables, NAME.tokens [default: the folder `tokens` beside the configuration].
    #[arg(long, value_name = "DIR", requires = "config")]
    tokens: Option<PathBuf>,
    /// Whose request it is [default: the only tenant of the configuration, where it is one alone].
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// The priority of the key that it would come with.
    #[arg(long, value_name = "PRIORITY", default_value = "normal", value_parser = ["low", "normal", "high"])]
    priority: String,
    /// What it would be sent to.
    #[arg(long, value_name = "PATH", default_value = "/v1/chat/completions")]
    path: String,
    /// A header that it would come with; may be given several times.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Where it would come in: a region's name, or LATITUDE,LONGITUDE in degrees [default: where the gateway is].
    #[arg(long, value_name = "PLACE")]
    location: Option<String>,
    /// Print the record as JSON.
    #[arg(long)]
    json: bool,
}

/// Asks and prints.
///
/// # Errors
/// When the request, the configuration or the tenant is wrong, or the gateway refuses or does not answer.
pub fn run(args: &Args) -> Result<(), Failure> {
    let record = match (&args.request_id, &args.config) {
        (Some(id), _) => asked(args, Method::GET, &format!("/requests/{}", encoded(id)), None)?,
        (None, Some(config)) => alone(args, config)?,
        (None, None) => asked(args, Method::POST, "/explain", Some(question(args, None)?))?,
    };
    let told = if args.json {
        format!("{record:#}\n")
    } else {
        table(&record)
    };
    io::stdout().write_all(told.as_bytes())?;
    Ok(())
}

/// What a gateway that runs says.
fn asked(args: &Args, method: Method, path: &str, body: Option<String>) -> Result<Value, Failure> {
    server::block_on(async {
        let operator = Operator::new(&args.gateway)?;
        operator.ask_with(method, path, body).await
    })
}

/// What a gateway would say that has just begun with that configuration.
fn alone(args: &Args, config: &Path) -> Result<Value, Failure> {
    let text = fs::read_to_string(config).map_err(|error| cannot_read(config, &error))?;
    let tables = read_tables(args.tokens.as_deref(), config).map_err(Failure::usage)?;
    let gateway = Gateway::new(&text, tables)
        .map_err(|errors| Failure::usage(format!("{} is wrong:\n{errors}", config.display())))?;
    let question = question(args, gateway.only_tenant().as_deref())?;
    server::block_on(async {
        let answer = explain_alone(&gateway, Location::default(), question.into()).await;
        let answer = answer.map_err(Failure::failed)?;
        let status = answer.status();
        let Body::Full(text) = answer.into_body() else {
            return Err(Failure::failed("the answer is a stream"));
        };
        let json: Value = serde_json::from_slice(&text).unwrap_or_default();
        if status == StatusCode::OK {
            return Ok(json);
        }
        let words = json["error"]["message"].as_str().unwrap_or_default();
        Err(operator::refused(status, format!("{status}: {}", server::short(words))))
    })
}

/// What the gateway is asked about a request.
#[derive(Serialize)]
struct Question<'a> {
    tenant: &'a str,
    path: &'a str,
    priority: &'a str,
    location: Option<&'a str>,
    headers: BTreeMap<&'a str, &'a str>,
    /// As it is written: what is counted depends on it.
    body: &'a RawValue,
}

/// The question, as it is sent.
fn question(args: &Args, only_tenant: Option<&str>) -> Result<String, Failure> {
    let tenant = args.tenant.as_deref().or(only_tenant);
    let file = args.request.as_deref().unwrap_or(Path::new("-"));
    let text = read(file)?;
    let wrong = |error| Failure::usage(format!("{} is no JSON: {error}", file.display()));
    let question = Question {
        tenant: tenant.ok_or_else(|| Failure::usage("whose request is it? Name the tenant with --tenant"))?,
        path: &args.path,
        priority: &args.priority,
        location: args.location.as_deref(),
        headers: args.headers.iter().map(|(name, value)| (&**name, &**value)).collect(),
        body: serde_json::from_str(&text).map_err(wrong)?,
    };
    serde_json::to_string(&question).map_err(Failure::failed)
}

fn read(path: &Path) -> Result<String, Failure> {
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    text.map_err(|error| cannot_read(path, &error))
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", path.display()))
}

/// An id as a path has it; what is none the gateway refuses.
fn encoded(id: &str) -> String {
    let is_plain = |character: &char| character.is_ascii_alphanumeric() || *character == '_';
    id.chars().filter(is_plain).collect()
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

const NOTES: &str =
    "With --config the request is counted, its tiers and clusters are ranked, and idle replicas are weighed, as the
gateway would do: nothing runs, and nothing is asked over the network. Against a gateway that runs, nothing is
reserved, held or sent either; what it tells is how things stand at that moment.";
