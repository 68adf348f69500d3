//! What can be wrong with a request, in words that tell its sender what to do.

use std::time::Duration;

use thiserror::Error;

use crate::excerpt::Excerpt;
use crate::ids::Tokens;

/// What is wrong with a request. What its sender wrote is quoted as an excerpt.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum RequestError {
    /// No key came with it.
    #[error("no API key: send it as `Authorization: Bearer KEY`")]
    MissingKey,
    /// A key that is nobody's.
    #[error("the API key is not known here: check it, or ask the operator for another")]
    UnknownKey,
    /// An operator's key that changes nothing.
    #[error("this key may look and change nothing: that takes one of `admin.keys` in gateway.toml")]
    ReadOnlyKey,
    /// A header that tries to steer what clients may not.
    #[error(
        "the header `{}` is not for clients: the gateway alone chooses what serves a request",
        Excerpt(name)
    )]
    ReservedHeader {
        /// The header.
        name: String,
    },
    /// Who wants a request explained has to show an operator's key beside the client's.
    #[error(
        "`x-tidegate-explain` is for operators: send one of `admin.keys` or `admin.read_keys` as `x-tidegate-admin-key`, beside \
         the API key"
    )]
    NoAdminKey,
    /// The key beside the client's is no operator's.
    #[error("the key in `x-tidegate-admin-key` is not one of `admin.keys` or `admin.read_keys` in gateway.toml")]
    UnknownAdminKey,
    /// The header that asks for an explanation says something else.
    #[error("`x-tidegate-explain` must be `1`, or left out")]
    WrongExplain,
    /// The header that wishes something of the cache says something else.
    #[error("`x-tidegate-cache` must be `use`, `refresh` or `bypass`, or left out")]
    WrongCacheWish,
    /// A purge of the cache that names nothing, or something that is not there.
    #[error("this purge is wrong: {}", Excerpt(detail))]
    WrongPurge {
        /// What is wrong.
        detail: String,
    },
    /// What is asked about requests, answered ones or one to try, is not written as it must be.
    #[error("what is asked about requests is wrong: {}", Excerpt(detail))]
    WrongQuestion {
        /// In which way.
        detail: String,
    },
    /// There is no such tenant.
    #[error(
        "there is no tenant `{}`: tenants in gateway.toml are listed by GET /admin/v1/config",
        Excerpt(asked)
    )]
    UnknownTenant {
        /// Its name.
        asked: String,
    },
    /// There is no record of such a request here.
    #[error(
        "there is no record of the request `{}`: it is older than those that are kept, or another gateway, isolate or instance \
         has answered it, which keeps its own; explain.kept_requests and explain.stored_ms in gateway.toml say how many, and how \
         long those are kept that all find",
        Excerpt(asked)
    )]
    UnknownRequest {
        /// Its id.
        asked: String,
    },
    /// No such path.
    #[error("there is nothing at this path: see GET /v1/models for what can be asked, below /v1/")]
    NoSuchPath,
    /// A path for clients, at a region hop.
    #[error(
        "this gateway has another role: a region hop takes orders of gateways with the role `edge`, and nothing else"
    )]
    OtherRole,
    /// The Responses API, which OpenAI's SDKs offer first, and which is not served yet.
    #[error(
        "the Responses API is not served here yet: send conversations to POST /v1/chat/completions, \
         `client.chat.completions.create` in OpenAI's SDKs"
    )]
    NoResponses,
    /// A page of another origin, which may not read what is answered here.
    #[error(
        "pages of the origin `{}` may not ask here: `allow_origins` in gateway.toml lists those that may",
        Excerpt(origin)
    )]
    ForeignOrigin {
        /// As the browser names it.
        origin: String,
    },
    /// The path has other methods.
    #[error("this path takes {allowed} only")]
    WrongMethod {
        /// Its methods.
        allowed: &'static str,
    },
    /// Something else than JSON, going by its header.
    #[error("the body must be JSON: send `Content-Type: application/json`")]
    WrongContentType,
    /// The body is over the limit.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The body is over the limit once it is decoded.
    #[error("the body is larger than {limit} bytes: {sent} bytes of {coding} grew to more than that")]
    TooLargeDecoded {
        /// The limit.
        limit: usize,
        /// Its length as it was sent.
        sent: usize,
        /// Its content coding.
        coding: &'static str,
    },
    /// A content coding that is not read here, or several.
    #[error(
        "a body with `content-encoding: {}` is not read here: send gzip, deflate, br or zstd, one of them, or none",
        Excerpt(coding)
    )]
    UnknownCoding {
        /// As the client names it.
        coding: String,
    },
    /// The body is not coded as its headers say, or is cut off.
    #[error("the body is not what `content-encoding: {coding}` says")]
    NotCoded {
        /// Its content coding.
        coding: &'static str,
    },
    /// The body broke off.
    #[error("the body broke off: {}", Excerpt(detail))]
    Incomplete {
        /// What the runtime says.
        detail: String,
    },
    /// The body took too long.
    #[error("the body did not arrive within {} s", .limit.as_secs())]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// The body is not a JSON object.
    #[error("the body is not a JSON object: {}", Excerpt(detail))]
    NotJson {
        /// What the parser says, with line and column.
        detail: String,
    },
    /// Arrays and objects nest too deep.
    #[error("arrays and objects nest deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A parameter is not there.
    #[error("`{param}` is missing: it must be {expected}")]
    Missing {
        /// The parameter.
        param: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A parameter is something else than it should be.
    #[error("`{param}` must be {expected}")]
    WrongType {
        /// The parameter.
        param: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A parameter stands twice.
    #[error("`{param}` stands more than once")]
    Duplicate {
        /// The parameter.
        param: &'static str,
    },
    /// A field by which the client would steer the engine, which is not open to its tenant.
    #[error(
        "`{param}` steers the engine, which this key may not: leave it out, or ask the operator to list it in the \
         tenant's `engine_fields`"
    )]
    SteersEngine {
        /// The field.
        param: &'static str,
    },
    /// Something that engines may not fetch.
    #[error(
        "`{}` may not be fetched: name images, audio and videos by `https://` and a public host, or send them inside \
         the request as `data:` URLs; the operator can allow more in `media.urls`",
        Excerpt(url)
    )]
    MediaUrl {
        /// The parameter that names it.
        param: &'static str,
        /// Its URL, or the beginning of it.
        url: String,
    },
    /// No such model, or not for this tenant; which of the two is not told.
    #[error(
        "the model `{}` does not exist or is not open to this key: see GET /v1/models",
        Excerpt(model)
    )]
    UnknownModel {
        /// As the client named it.
        model: String,
    },
    /// The lowest tier asked for is not on the model's ladder.
    #[error("`x-tidegate-lowest-tier` names no tier of this model's ladder: it has {tiers}")]
    UnknownTier {
        /// The ladder's tiers.
        tiers: String,
    },
    /// The prompt is more than the model's context holds, or leaves no room for an answer.
    #[error("{}", context_message(*context, *prompt, param))]
    ContextLength {
        /// The context.
        context: Tokens,
        /// The prompt; the longest one where there are several.
        prompt: PromptLength,
        /// The parameter that holds the prompt.
        param: &'static str,
    },
    /// The model's chat template says that the conversation is wrong.
    #[error("the model's chat template refuses the conversation: {}", Excerpt(message))]
    Template {
        /// In its own words.
        message: String,
    },
    /// No such budget.
    #[error("there is no budget `{}`: see GET /admin/v1/budgets", Excerpt(asked))]
    UnknownBudget {
        /// As the operator named it.
        asked: String,
    },
    /// No such cluster.
    #[error("there is no cluster `{}`: see GET /admin/v1/clusters", Excerpt(asked))]
    UnknownCluster {
        /// As the operator named it.
        asked: String,
    },
    /// No such replica.
    #[error(
        "the cluster `{cluster}` has no replica `{}`, or several: see GET /admin/v1/clusters/{cluster}; a URL stands in a \
         path percent-encoded",
        Excerpt(asked)
    )]
    UnknownReplica {
        /// As the operator named it.
        asked: String,
        /// Of which cluster.
        cluster: String,
    },
    /// The cluster is behind a region hop, which alone knows its replicas.
    #[error("the replicas of `{cluster}` are known in its region: ask the gateway there, at {at}")]
    AskRegion {
        /// Which cluster.
        cluster: String,
        /// Where the edge reaches the region.
        at: String,
    },
    /// A drain that makes no sense.
    #[error("this drain is wrong: {}", Excerpt(detail))]
    WrongDrain {
        /// What is wrong.
        detail: String,
    },
    /// No model of that name has versions.
    #[error("there is no model `{}` with versions: see GET /admin/v1/rollouts", Excerpt(asked))]
    UnknownRollout {
        /// As the operator named it.
        asked: String,
    },
    /// Rollouts are known where versions are chosen.
    #[error("versions are chosen at the edge: ask a gateway there")]
    AskEdge,
    /// An order for a rollout that makes no sense, or none for now.
    #[error("this cannot be done to the rollout: {}", Excerpt(detail))]
    WrongRollout {
        /// What is wrong.
        detail: String,
    },
    /// Limits for a budget that make no sense.
    #[error(
        "these limits are wrong: {}; they are JSON with the keys of a budget in gateway.toml",
        Excerpt(detail)
    )]
    WrongLimits {
        /// What is wrong.
        detail: String,
    },
    /// Every cluster that serves the model stands where the tenant's data may not go.
    #[error("no cluster within this tenant's jurisdictions serves the model `{model}`")]
    Jurisdiction {
        /// The model.
        model: String,
    },
}

/// What is known of a prompt's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptLength {
    /// It is this.
    Exactly(Tokens),
    /// It is surely this, and maybe more.
    AtLeast(Tokens),
}

/// In OpenAI's words, which clients look for.
fn context_message(context: Tokens, prompt: PromptLength, param: &str) -> String {
    let (hedge, prompt) = match prompt {
        PromptLength::Exactly(prompt) => ("", prompt),
        PromptLength::AtLeast(prompt) => ("at least ", prompt),
    };
    format!(
        "This model's maximum context length is {context} tokens. However, your {param} resulted in {hedge}{prompt} tokens. \
         Please reduce the length of the {param}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_says_more_than_the_beginning_of_what_was_sent() {
        let sent = || "x".repeat(3_000_000);
        for error in [
            RequestError::ReservedHeader { name: sent() },
            RequestError::ForeignOrigin { origin: sent() },
            RequestError::UnknownCoding { coding: sent() },
            RequestError::Incomplete { detail: sent() },
            RequestError::NotJson { detail: sent() },
            RequestError::UnknownModel { model: sent() },
            RequestError::Template { message: sent() },
            RequestError::UnknownBudget { asked: sent() },
            RequestError::UnknownCluster { asked: sent() },
            RequestError::UnknownRollout { asked: sent() },
            RequestError::WrongRollout { detail: sent() },
            RequestError::WrongLimits { detail: sent() },
            RequestError::WrongPurge { detail: sent() },
        ] {
            let told = error.to_string();
            let quoted = told.matches('x').count();
            assert!((200..220).contains(&quoted) && told.contains('…'), "{quoted}: {told}");
        }
    }
}
