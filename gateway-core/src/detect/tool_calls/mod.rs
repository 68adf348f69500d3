//! Calls of tools that no client can carry out, or that lead nowhere: of a tool that is not declared, with arguments that are no
//! JSON object or that the tool does not take, and the same call with the same arguments over and over. A call is looked at as
//! it comes, and judged when it ends; one that its answer's bound cuts off is not.

mod declared;
mod earlier;
mod json_check;
mod schema;

use std::hash::Hasher;

use bytes::Bytes;
use siphasher::sip::SipHasher13;

use self::declared::Declared;
use self::earlier::repeats;
use self::json_check::JsonCheck;
use self::schema::broken_keyword;
use super::{Detector, Finding, Finish};

/// What a request says of tools, as it stands in its body.
#[derive(Clone, Debug, Default)]
pub struct ToolContext {
    /// `tools`: an array.
    pub tools: Option<Bytes>,
    /// `functions`, their older form: an array.
    pub functions: Option<Bytes>,
    /// The last messages, with commas between them.
    pub last_messages: Option<Bytes>,
}

/// The calls of one answer.
#[derive(Debug)]
pub(super) struct ToolCalls {
    context: ToolContext,
    open: Option<Call>,
    /// How many have begun.
    begun: usize,
    /// The last call that has ended, by its hash, and how often it came in a row.
    last: (u64, u32),
    bytes: u64,
    /// It has found something, or pieces of calls came out of order.
    is_over: bool,
}

/// A call that comes.
#[derive(Debug)]
struct Call {
    index: u64,
    name: String,
    is_name_known: bool,
    /// Whether its tool takes any text, as far as is known.
    takes_any: bool,
    json: JsonCheck,
    /// The arguments, as long as they are no longer than [`MOST_ARGUMENTS`]; in one piece where they came so.
    arguments: Option<String>,
    /// Of all arguments, however long.
    hash: SipHasher13,
}

impl ToolCalls {
    /// Nothing yet, in answer to that.
    pub fn new(context: ToolContext) -> Self {
        Self {
            context,
            open: None,
            begun: 0,
            last: (0, 0),
            bytes: 0,
            is_over: false,
        }
    }

    /// The call of that index goes on with that of its name.
    pub fn on_name(&mut self, index: u64, text: &str) -> Option<Finding> {
        let found = self.turn_to(index);
        if let Some(call) = &mut self.open
            && call.name.len() + text.len() <= MOST_NAME
        {
            call.name.reserve_exact(text.len());
            call.name.push_str(text);
        }
        found
    }

    /// The call of that index goes on with that of its arguments.
    pub fn on_arguments(&mut self, index: u64, text: &str) -> Option<Finding> {
        let found = self.turn_to(index);
        if found.is_some() || self.is_over {
            return found;
        }
        self.bytes += text.len() as u64;
        let call = self.open.as_mut()?;
        if !call.is_name_known {
            call.is_name_known = true;
            match self.context.declared(&call.name) {
                Declared::Not { declared } => return self.found(undeclared(declared)),
                Declared::Freely | Declared::Unknown => call.takes_any = true,
                Declared::With { .. } => {}
            }
        }
        call.on_arguments(text);
        if call.takes_any || call.json.push(text) {
            return None;
        }
        self.found("its arguments are no JSON".to_owned())
    }

    /// The answer has ended.
    pub fn on_finish(&mut self, finish: Finish) -> Option<Finding> {
        match finish {
            Finish::Stop | Finish::ToolCalls => self.close(),
            Finish::Length | Finish::Filtered => None,
        }
    }

    /// The call that was open, if it is another one, has ended.
    fn turn_to(&mut self, index: u64) -> Option<Finding> {
        let open = self.open.as_ref().map(|call| call.index);
        if self.is_over || open == Some(index) {
            return None;
        }
        // Calls come one after another; of those that do not, nothing is known.
        if open.is_some_and(|open| open > index) {
            self.is_over = true;
            return None;
        }
        let found = self.close();
        self.begun += 1;
        self.is_over |= self.begun > MOST_CALLS;
        self.open = (!self.is_over).then(|| Call::new(index));
        found
    }

    /// The call that is open has ended.
    fn close(&mut self) -> Option<Finding> {
        let call = self.open.take().filter(|_| !self.is_over)?;
        let wrong = call.wrong(&self.context).or_else(|| self.in_circles(&call));
        wrong.and_then(|reason| self.found(reason))
    }

    /// Whether the call was made again and again, in this answer or in the turns before it.
    fn in_circles(&mut self, call: &Call) -> Option<String> {
        let mut hasher = call.hash;
        hasher.write(call.name.as_bytes());
        let hash = hasher.finish();
        let (last, times) = self.last;
        self.last = (hash, if last == hash { times + 1 } else { 1 });
        if self.last.1 > MOST_REPEATS {
            return Some(format!("the same call {} times in one answer", self.last.1));
        }
        let arguments = call.arguments.as_deref()?;
        let messages = self.context.last_messages.as_deref()?;
        let repeats = repeats(messages, &call.name, arguments);
        (repeats >= MOST_REPEATS)
            .then(|| format!("the same call once more, after {repeats} in a row that all had the same result"))
    }

    fn found(&mut self, reason: String) -> Option<Finding> {
        self.is_over = true;
        self.open = None;
        Some(Finding {
            detector: Detector::ToolCalls,
            score: 1.0,
            at_bytes: self.bytes,
            reason,
        })
    }

    /// What it may keep on the heap, in bytes.
    #[cfg(test)]
    pub const MOST_HEAP: usize = MOST_NAME + MOST_ARGUMENTS;
}

impl Call {
    fn new(index: u64) -> Self {
        Self {
            index,
            name: String::new(),
            is_name_known: false,
            takes_any: false,
            json: JsonCheck::default(),
            arguments: Some(String::new()),
            hash: SipHasher13::new(),
        }
    }

    fn on_arguments(&mut self, text: &str) {
        self.hash.write(text.as_bytes());
        let kept = self
            .arguments
            .as_mut()
            .filter(|kept| kept.len() + text.len() <= MOST_ARGUMENTS);
        match kept {
            Some(kept) => {
                kept.reserve_exact(text.len());
                kept.push_str(text);
            }
            None => self.arguments = None,
        }
    }

    /// What is wrong with it, now that it is whole.
    fn wrong(&self, context: &ToolContext) -> Option<String> {
        let declared = context.declared(&self.name);
        let parameters = match &declared {
            Declared::Not { declared } => return Some(undeclared(*declared)),
            Declared::Unknown | Declared::Freely => return None,
            Declared::With { parameters } => *parameters,
        };
        // Whoever takes no arguments is often called with none at all.
        if self.json.is_blank() || self.json.is_too_deep() {
            return None;
        }
        if !self.json.is_whole() {
            return Some("its arguments are no JSON: they end too soon".to_owned());
        }
        if !self.json.is_object() {
            return Some("its arguments are no JSON object".to_owned());
        }
        let keyword = broken_keyword(parameters?, self.arguments.as_deref()?)?;
        Some(format!("its arguments are not as the tool's schema says: `{keyword}`"))
    }
}

fn undeclared(declared: usize) -> String {
    format!("it is of a tool that is not declared, while {declared} are")
}

/// Longer names are no tool's, in bytes: OpenAI's and vLLM's have 64 characters at most.
const MOST_NAME: usize = 128;
/// Longer arguments of a call are held against no schema, in bytes: whether they are JSON is known however long they are.
const MOST_ARGUMENTS: usize = 1_024;
/// More calls of one answer are not looked at: for each the request's tools are read anew.
const MOST_CALLS: usize = 16;
/// So many calls in a row that are the same, and had the same result, are enough: one more leads nowhere.
const MOST_REPEATS: u32 = 3;

#[cfg(test)]
mod tests;
