// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The resource `amqp` of ARI; `rest-api/amqp.json` describes it.

use asterisk::ari::{Method, Operation, Request, Resource, Response, Segment};
use asterisk::json::Json;

use crate::MODULE;
use crate::apps::{Apps, CreateError};

const NAME: &str = "applicationName";

/// Adds the resource.
pub(crate) fn add() -> Result<Resource, String> {
    let application =
        Segment::wildcard(c"applicationName").operation::<Create>().operation::<Remove>();
    Resource::add(&Segment::named(c"amqp").operation::<Show>().child(application))
}

fn unavailable() -> Response {
    let message = "The module is being unloaded".to_owned();
    Response::Error(503, c"Service Unavailable", message)
}

fn unnamed() -> Response {
    let message = "The application needs a name".to_owned();
    Response::Error(400, c"Bad Request", message)
}

/// Answers a request about the application that its path names.
fn about_application(
    request: &Request<'_>,
    answer: impl FnOnce(&Apps, &str) -> Response,
) -> Response {
    match (MODULE.current(), request.path_value(NAME)) {
        (None, _) => unavailable(),
        (_, None) => unnamed(),
        (Some(module), Some(name)) => answer(module.apps(), &name),
    }
}

/// `POST /amqp/{applicationName}`
struct Create;

impl Operation for Create {
    const METHOD: Method = Method::Post;

    fn handle(request: &Request<'_>) -> Response {
        about_application(request, |apps, name| match apps.create(name) {
            Ok(()) => Response::NoContent,
            Err(CreateError::Unnamed) => unnamed(),
            Err(error) => {
                let (code, reason) = match error {
                    CreateError::Off => (503, c"Service Unavailable"),
                    CreateError::Held(_) => (409, c"Conflict"),
                    _ => (500, c"Internal Server Error"),
                };
                Response::Error(code, reason, error.to_string())
            }
        })
    }
}

/// `DELETE /amqp/{applicationName}`
struct Remove;

impl Operation for Remove {
    const METHOD: Method = Method::Delete;

    fn handle(request: &Request<'_>) -> Response {
        about_application(request, |apps, name| match apps.remove(name) {
            Ok(()) => Response::NoContent,
            Err(unknown) => Response::Error(404, c"Not Found", unknown.to_string()),
        })
    }
}

/// `GET /amqp`
struct Show;

impl Operation for Show {
    const METHOD: Method = Method::Get;

    fn handle(_request: &Request<'_>) -> Response {
        let Some(module) = MODULE.current() else {
            return unavailable();
        };
        match Json::parse(&module.describe().to_string()) {
            Some(json) => Response::Ok(json),
            None => Response::Error(500, c"Internal Server Error", "No memory".to_owned()),
        }
    }
}
