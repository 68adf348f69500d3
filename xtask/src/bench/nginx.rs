//! nginx as a reverse proxy with one worker process, configured as one would for this upstream.

use std::path::Path;
use std::process::Command;

use super::Bench;
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
        let program = with_packages("nginx", "to compare the native gateway with", &["nginx-light"], || {
            ["/usr/sbin/nginx", "/usr/bin/nginx", "/opt/homebrew/bin/nginx"]
                .into_iter()
                .find(|path| Path::new(path).exists())
        })?;
        let [buffered, streaming] = [free_address()?, free_address()?];
        let folder = workspace::made(bench.folder.join("nginx"))?;
        let file = folder.join("nginx.conf");
        let upstream = bench.upstream.url.trim_start_matches("http://");
        workspace::write(&file, config(&folder, upstream, &buffered, &streaming))?;
        let mut command = Command::new(program);
        command.arg("-e").arg(folder.join("error.log")).arg("-c").arg(&file);
        let [buffered, streaming] = [buffered, streaming].map(|address| format!("http://{address}"));
        let server = bench.meter.server(&command);
        let process = Child::start_at("nginx", &server, &bench.folder, &buffered, || {
            http::get(&buffered, "/").is_ok()
        })?;
        Ok(Self { process, streaming })
    }
}

fn config(folder: &Path, upstream: &str, buffered: &str, streaming: &str) -> String {
    let folder = folder.display();
    // Started by root, its worker would run as a user who cannot write to the folder.
    let user = if Run::new("id").arg("-u").probe().is_some_and(|id| id.trim() == "0") {
        "user root;\n"
    } else {
        ""
    };
    let server = |listen: &str, buffering: &str| {
        format!(
            "server {{ listen {listen}; keepalive_requests 10000000; location / {{ proxy_pass http://engine; \
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering {buffering}; }} }}\n"
        )
    };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nevents {{ worker_connections 1024; }}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\nfastcgi_temp_path \
         {folder}/fastcgi;\nuwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\nclient_body_buffer_size \
         64k;\nupstream engine {{ server {upstream}; keepalive 64; keepalive_requests 10000000; }}\n{}{}}}\n",
        server(buffered, "on"),
        server(streaming, "off"),
    )
}
