//! The first two steps: the name's addresses, and a TCP connection to one of them.

use super::report::{Mark, Report};
use super::skip;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(5);

/// Resolves and connects. `None` when the way ends here.
pub async fn reach(report: &mut Report, host: &str, port: u16, connect: Option<SocketAddr>) -> Option<TcpStream> {
    let addresses = match connect {
        Some(address) => {
            report.note("name", Mark::Ok, format!("not asked; {address} was given"), "");
            vec![address]
        }
        None => resolve(report, host, port).await?,
    };
    let mut failures = Vec::new();
    for address in &addresses {
        let began = Instant::now();
        match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                let after = if failures.is_empty() { String::new() } else { format!("; before that {}", failures.join(", ")) };
                let mark = if failures.is_empty() { Mark::Ok } else { Mark::Warning };
                report.note("tcp", mark, format!("{address} answered in {} ms{after}", began.elapsed().as_millis()), "");
                return Some(stream);
            }
            Ok(Err(error)) => failures.push(format!("{address}: {}", error.to_string().split(" (os error").next().unwrap_or(""))),
            Err(_) => failures.push(format!("{address}: no answer within {} s", PATIENCE.as_secs())),
        }
    }
    let refused = failures.iter().any(|f| f.contains("refused"));
    let remedy = if refused {
        "nothing listens there: look whether the gateway runs and on which port (`countersign gateway list`)"
    } else {
        "packets are lost on the way: look at firewalls and routes between this machine and the gateway"
    };
    report.note("tcp", Mark::Failed, failures.join(", "), remedy);
    for step in ["tls", "server certificate", "client certificate", "clock", "answer"] {
        skip(report, step, "no connection");
    }
    None
}

/// The name's addresses. A name below `localhost` is this machine, whatever the name service says (RFC 6761 section 6.3).
async fn resolve(report: &mut Report, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        report.note(
            "name",
            Mark::Warning,
            format!("{address} is an address: a client sends no server name for it, and the gateway chooses the namespace by that"),
            "name the door by its host name; --connect gives the address apart",
        );
        return Some(vec![SocketAddr::new(address, port)]);
    }
    if host == "localhost" || host.ends_with(".localhost") {
        report.note("name", Mark::Ok, format!("{host} is this machine"), "");
        return Some(vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)]);
    }
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    let addresses: Vec<_> = match found {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    if addresses.is_empty() {
        report.note(
            "name",
            Mark::Failed,
            format!("{host} has no address"),
            "look for a typing mistake, and for a DNS record of this name or of `*` below the gateway's domain",
        );
        for step in ["tcp", "tls", "server certificate", "client certificate", "clock", "answer"] {
            skip(report, step, "no address");
        }
        return None;
    }
    let text = addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ");
    report.note("name", Mark::Ok, format!("{host} is {text}"), "");
    Some(addresses)
}
