//! Git's smart HTTP protocol, by `git http-backend` as a CGI program. Source: git-http-backend(1), RFC 3875.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, copy};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::reply::Reply;

/// Most bytes of a push. Source: GitHub documentation, 'Repository limits': 2 GB; a quarter of it is enough on a laptop.
const BODY: u64 = 512 << 20;
/// Most bytes of the headers that the program answers.
const HEADERS: u64 = 64 << 10;

/// A request to the program.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    /// The repository's folder below the root, and the service: `/owner/name.git/git-upload-pack`.
    pub(crate) path: String,
    pub(crate) query: &'a str,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) content_encoding: Option<&'a str>,
    /// The version of Git's protocol that the client wants.
    pub(crate) protocol: Option<&'a str>,
}

/// The body of a request in a file, since Git may read it more slowly than it comes; none where it is too large.
pub(crate) fn spooled(body: &mut dyn Read) -> Result<Option<File>> {
    let mut file = tempfile::tempfile().context("cannot keep what is sent")?;
    let size = copy(&mut body.take(BODY + 1), &mut file).context("cannot read what is sent")?;
    file.rewind().context("cannot read what was sent")?;
    Ok((size <= BODY).then_some(file))
}

/// Has the program answer. `git` has the environment in which it is to run.
pub(crate) fn answer(mut git: Command, call: &Call<'_>, body: File) -> Result<Reply> {
    let length = body.metadata().context("a file without a length")?.len();
    git.arg("http-backend")
        .env("REQUEST_METHOD", call.method)
        .env("PATH_INFO", &call.path)
        .env("QUERY_STRING", call.query)
        .env("CONTENT_LENGTH", length.to_string())
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("GIT_HTTP_EXPORT_ALL", "1");
    for (name, value) in [
        ("CONTENT_TYPE", call.content_type),
        ("HTTP_CONTENT_ENCODING", call.content_encoding),
        ("HTTP_GIT_PROTOCOL", call.protocol),
    ] {
        if let Some(value) = value {
            git.env(name, value);
        }
    }
    let mut child = git.stdin(body).stdout(Stdio::piped()).spawn().context("`git` does not start: is it installed?")?;
    let mut output = BufReader::new(child.stdout.take().context("no output")?);
    match headers(&mut output) {
        Ok((status, headers)) => Ok(Reply::streamed(status, headers, Box::new(output), child)),
        Err(error) => {
            // Whether it has ended by now does not matter.
            let _ = child.kill();
            child.wait().context("git cannot be waited for")?;
            Err(error)
        }
    }
}

/// The status and the headers at the beginning of the program's answer.
fn headers(output: &mut impl BufRead) -> Result<(u16, Vec<(String, String)>)> {
    let (mut status, mut headers) = (200, Vec::new());
    let mut head = output.take(HEADERS);
    loop {
        let mut line = String::new();
        head.read_line(&mut line).context("cannot read what git answers")?;
        let Some(line) = line.strip_suffix('\n') else { bail!("git http-backend has answered nothing") };
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(':').context("git http-backend has answered no header")?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            status = code.parse().context("git http-backend has answered no status")?;
        } else {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_answer_is_read_and_its_body_left() {
        let mut answer = &b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno\n"[..];
        let (status, found) = headers(&mut answer).unwrap();
        assert_eq!((status, found), (404, vec![("Content-Type".to_owned(), "text/plain".to_owned())]));
        assert_eq!(answer, b"no\n");
        assert!(headers(&mut &b""[..]).is_err() && headers(&mut &b"Status: soon\n\n"[..]).is_err());
        let endless = vec![b'a'; usize::try_from(HEADERS).unwrap() + 1];
        assert!(headers(&mut &endless[..]).is_err());
    }
}
