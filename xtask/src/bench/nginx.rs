//! nginx as a reverse proxy with one worker process, configured as one would for this upstream.

use std::path::Path;
use std::process::Command;

use super::Bench;
use super::measure::FILE;
use crate::command::Run;
use crate::dev::{Child, free_address};
use crate::error::TaskError;
use crate::setup::with_packages;
use crate::{http, workspace};

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    /// Its URL buffers answers, nginx's default.
    pub process: Child,
    /// The URL that does not, for streams.
    pub streaming: String,
}

impl Nginx {
    /// Starts it in front of the bench's upstream; it is installed when it is missing and that is possible.
    pub fn start(bench: &Bench) -> Result<Self, TaskError> {
        let program = program()?;
        let [buffered, streaming] = [free_address()?, free_address()?];
        let folder = workspace::made(bench.folder.join("nginx"))?;
        let file = folder.join("nginx.conf");
        let file_served = folder.join("static");
        workspace::write(&workspace::made(file_served.clone())?.join(&FILE[1..]), bench.answer()?)?;
        let files = format!("location = {FILE} {{ root {}; }}", file_served.display());
        let servers = server(&buffered, "on", &files) + &server(&streaming, "off", "");
        workspace::write(
            &file,
            config(&folder, std::slice::from_ref(&bench.upstream.url), &servers),
        )?;
        let command = command(program, &folder, &file);
        let [buffered, streaming] = [buffered, streaming].map(|address| format!("http://{address}"));
        let server = bench.meter.server(&command);
        let process = Child::start_at("nginx", &server, &bench.folder, &buffered, || {
            http::get(&buffered, "/").is_ok()
        })?;
        Ok(Self { process, streaming })
    }
}

/// One before several upstreams, round robin, that passes streams on as they come; its log goes to `folder`.
///
/// # Errors
/// When it cannot be had or does not start.
pub fn before(upstreams: &[String], folder: &Path) -> Result<Child, TaskError> {
    let program = program()?;
    let address = free_address()?;
    let own = workspace::made(folder.join("nginx"))?;
    let file = own.join("nginx.conf");
    workspace::write(&file, config(&own, upstreams, &server(&address, "off", "")))?;
    let url = format!("http://{address}");
    Child::start_at("nginx", &command(program, &own, &file), folder, &url, || {
        http::get(&url, "/health").is_ok()
    })
}

fn program() -> Result<&'static str, TaskError> {
    with_packages("nginx", "to compare the native gateway with", &["nginx-light"], || {
        ["/usr/sbin/nginx", "/usr/bin/nginx", "/opt/homebrew/bin/nginx"]
            .into_iter()
            .find(|path| Path::new(path).exists())
    })
}

fn command(program: &str, folder: &Path, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-e").arg(folder.join("error.log")).arg("-c").arg(file);
    command
}

/// A server that passes all on but for what further locations say.
fn server(listen: &str, buffering: &str, further: &str) -> String {
    format!(
        "server {{ listen {listen}; keepalive_requests 10000000; {further} location / {{ proxy_pass http://engine; \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering {buffering}; }} }}\n"
    )
}

fn config(folder: &Path, upstreams: &[String], servers: &str) -> String {
    let folder = folder.display();
    // Started by root, its worker would run as a user who cannot write to the folder.
    let user = if Run::new("id").arg("-u").probe().is_some_and(|id| id.trim() == "0") {
        "user root;\n"
    } else {
        ""
    };
    let upstreams: String = upstreams
        .iter()
        .map(|url| format!("server {}; ", url.trim_start_matches("http://")))
        .collect();
    format!(
        "{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nevents {{ worker_connections 16384; }}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\nfastcgi_temp_path \
         {folder}/fastcgi;\nuwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\nclient_body_buffer_size \
         64k;\nclient_max_body_size 64m;\nupstream engine {{ {upstreams}keepalive 64; keepalive_requests 10000000; \
         }}\n{servers}}}\n"
    )
}
