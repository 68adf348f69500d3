//! `cargo xtask dev`: the gateway on one runtime in front of two simulated clusters in two regions, until interrupted.

mod child;
mod gateway;
mod redis;
mod world;

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::build::{self, Profile, Purpose};
use crate::cli::DevOptions;
use crate::error::TaskError;
use crate::setup::tested_tables;
use crate::{http, processes, terminal, workspace};

pub use child::{Child, free_address};
pub use gateway::{Gateway, Hop, Place};
pub use redis::start_redis;
pub use world::{Key, new_key, with_hop};

/// Starts everything, says how to use it, and ends everything when it is interrupted or a part of it ends.
pub fn run(options: &DevOptions) -> Result<(), TaskError> {
    check_port(options.port)?;
    let folder = workspace::work_folder("dev")?;
    let tidegate = terminal::step("build tidegate", || build::native(Profile::Debug, Purpose::Deployment))?;
    let tables = terminal::step("token tables", || tested_tables(&tidegate))?;
    let gateway = Gateway::build(options.on, &tidegate, &tables)?;
    let key = world::new_key(&tidegate)?;
    let begun = Instant::now();
    let mut children = terminal::step("start two clusters", || world::start_engines(&tidegate, &folder))?;
    let config = folder.join("gateway.toml");
    let text = world::config(&children, &key.digest)?;
    let hop = options.hops.then(free_address).transpose()?;
    workspace::write(
        &config,
        hop.as_ref().map_or(text.clone(), |hop| world::with_hop(&text, hop)),
    )?;
    let place = Place {
        config: &config,
        port: options.port,
        folder: &folder,
        redis: None,
    };
    let name = format!("start the gateway on {}", options.on.name());
    children.extend(terminal::step(&name, || match &hop {
        None => Ok(vec![start_gateway("gateway", &gateway.command(&place), &folder)?]),
        Some(address) => start_hops(&gateway, &place, address),
    })?);
    let Some(url) = children.last().map(|gateway| gateway.url.clone()) else {
        return Err(TaskError::Stopped);
    };
    let mut stdout = std::io::stdout();
    // Whoever reads this may have closed the pipe after it: the gateway goes on.
    let _ = writeln!(stdout, "ready url={url} key={}", key.key).and_then(|()| stdout.flush());
    introduce(&url, &key.key, begun.elapsed());
    let ended = watch(&mut children);
    terminal::note("stopping");
    // The gateway first, so that the streams it ends are not ended for it.
    while let Some(child) = children.pop() {
        drop(child);
    }
    ended
}

fn check_port(port: u16) -> Result<(), TaskError> {
    TcpListener::bind(("127.0.0.1", port)).map(drop).map_err(|error| {
        let wanted = "a free one is wanted: choose another with --port, or none and the system chooses";
        TaskError::unmet(format!("port {port}"), error.to_string(), wanted)
    })
}

/// Starts the region hop at that address, and then the edge.
fn start_hops(gateway: &Gateway, place: &Place, address: &str) -> Result<Vec<Child>, TaskError> {
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
    let beside = Place {
        port: port.unwrap_or_default(),
        ..*place
    };
    let region = gateway.hop_command(&beside, Hop::Region, HOP_SECRET);
    let edge = gateway.hop_command(place, Hop::Edge, HOP_SECRET);
    Ok(vec![
        start_gateway("region", &region, place.folder)?,
        start_gateway("gateway", &edge, place.folder)?,
    ])
}

/// Starts a gateway, and waits until it answers.
fn start_gateway(name: &str, command: &Command, folder: &Path) -> Result<Child, TaskError> {
    let mut child = Child::start(name, command, folder)?;
    let until = Instant::now() + ANSWERS_WITHIN;
    while !http::get(&child.url, "/readyz").is_ok_and(|answer| answer.status == 200) {
        if let Some(error) = child.ended() {
            return Err(error);
        }
        if processes::stopped() {
            return Err(TaskError::Stopped);
        }
        if Instant::now() > until {
            return Err(child.failure(&format!("does not answer within {} s", ANSWERS_WITHIN.as_secs())));
        }
        std::thread::sleep(POLL);
    }
    Ok(child)
}

fn introduce(url: &str, key: &str, took: Duration) {
    let curl = |more: &str, fields: &str| {
        format!(
            "  curl -s{more} {url}/v1/chat/completions -H 'authorization: Bearer {key}' \\\n    -H 'content-type: \
             application/json' \\\n    -d '{{\"model\":\"{}\",{fields}\"messages\":[{{\"role\":\"user\",\"content\":\"Why \
             is the sea salty?\"}}]}}'",
            world::MODEL
        )
    };
    eprintln!(
        "\n{} after {:.1} s\n\n{}\n\nstreamed, with the headers that say what served it:\n\n{}\n\nmetrics: {url}/metrics, \
         logs: target/dev/*.log, configuration: target/dev/gateway.toml\nCtrl-C ends it.",
        terminal::bold("Tidegate answers"),
        took.as_secs_f64(),
        curl("", ""),
        curl("Ni", "\"stream\":true,"),
    );
}

/// Waits until an interrupt, which is how this ends well, or until a child ends, which is not.
fn watch(children: &mut [Child]) -> Result<(), TaskError> {
    loop {
        if processes::stopped() {
            return Ok(());
        }
        if let Some(error) = children.iter_mut().find_map(Child::ended) {
            // An interrupt reaches the children too, and may have reached them first.
            std::thread::sleep(POLL);
            return if processes::stopped() { Ok(()) } else { Err(error) };
        }
        std::thread::sleep(POLL);
    }
}

/// Of gateways that nobody but this machine reaches.
pub const HOP_SECRET: &str = "the-secret-of-two-hops-on-one-machine";
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
