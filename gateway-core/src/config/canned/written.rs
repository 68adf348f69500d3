//! The table as it is written, read and checked; and how a document of the store is read, and written.

use std::collections::BTreeMap;

use super::reason::Reason;
use super::template::TemplateText;
use super::{CannedAnswers, CannedText};
use crate::config::error::{ConfigErrors, Problem};
use crate::config::kinds::List;
use crate::config::names::Names;
use crate::config::read::{Keys, Kind, Node, entries, value};
use crate::config::report::{At, Place, Report};
use crate::config::section::section;
use crate::config::texts::{ModelId, Name, beginning};
use crate::config::tree;
use crate::config::validated::Config;
use crate::ids::{ModelName, TenantName};
use crate::language::LanguageTag;

section! {
    /// What is answered where no model does. A document in the store stands in its place: `PUT /admin/v1/canned`.
    Canned {
        /// Models that operators keep out of service, by name or alias: their tiers are passed over.
        maintenance: List<ModelId, 0>,
        /// Texts, one `[[canned.texts]]` table each. Of those that fit a request the one counts that names its tenant,
        /// then its model, then the reason, then its language. Where none fits, a ladder's own text is given, if it has
        /// one.
        texts: List<Text, 0>,
    }
}

section! {
    /// A text, and for what it is meant.
    Text {
        /// The model that is asked for, by name or alias; any when left out.
        model: Option<ModelId>,
        /// Whose request it is; anybody's when left out.
        tenant: Option<Name>,
        /// The tag of the language that the text is in, for clients that read that; for all when left out.
        language: Option<Language>,
        /// Why no model answers; when left out, `overload` or `maintenance`: for the other two reasons clients get an error
        /// unless a text names them.
        reason: Option<Reason>,
        /// What it says.
        text: TemplateText<8_192>,
    }
}

section! {
    /// What stands in place of the configuration's table.
    Document {
        /// The table, as in `gateway.toml`.
        canned: Canned,
    }
}

/// The tag of a language.
pub(in crate::config) struct Language;

impl Kind for Language {
    type Value = LanguageTag;

    fn expected() -> String {
        "the tag of a language, such as `de` or `pt-BR`".to_owned()
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<LanguageTag> {
        node.parse::<Self>(report, |text| {
            text.parse().map_err(|_| Problem::Malformed { found: beginning(text) })
        })
    }
}

/// The table of a configuration or a document, as the code uses it. `models` and `tenants` are the names that it may use.
pub(in crate::config) fn check(
    written: &Canned,
    models: &Names<'_>,
    tenants: &Names<'_>,
    report: &mut Report,
) -> CannedAnswers {
    let mut maintenance = Vec::new();
    for model in entries(&written.maintenance) {
        models.resolve(model, report);
        maintenance.push(ModelName::from(model.value.as_str()));
    }
    let mut first = BTreeMap::new();
    let mut texts = Vec::new();
    for At { place, value: written } in entries(&written.texts) {
        let model = named(&written.model, models, report);
        let tenant = named(&written.tenant, tenants, report);
        let (language, reason) = (value(&written.language), value(&written.reason));
        let (Some(language), Some(reason), Some(text)) = (language, reason, value(&written.text)) else {
            continue;
        };
        let text = CannedText {
            model: model.as_deref().map(ModelName::from),
            tenant: tenant.as_deref().map(TenantName::from),
            language: language.clone(),
            reason: *reason,
            text: text.clone(),
        };
        let key = (model, text.tenant.clone(), text.language.clone(), text.reason);
        if let Some(line) = first.get(&key).copied() {
            let problem = Problem::Duplicate {
                what: "a text for",
                name: for_what(&text),
                line,
            };
            report.add(
                *place,
                problem,
                "expected one text for the same model, tenant, language and reason",
            );
        } else {
            first.insert(key, report.line(*place));
        }
        texts.push(text);
    }
    CannedAnswers { maintenance, texts }
}

/// What is named, aliases resolved where that is known.
fn named(written: &Option<At<Option<String>>>, names: &Names<'_>, report: &mut Report) -> Option<String> {
    let at = written.as_ref()?;
    let asked = at.with(at.value.clone()?);
    let resolved = names.resolve(&asked, report);
    Some(resolved.unwrap_or(asked).value)
}

fn for_what(text: &CannedText) -> String {
    let words = [
        text.tenant.as_ref().map(ToString::to_string),
        text.model.as_ref().map(ToString::to_string),
        text.reason.map(|reason| reason.as_str().to_owned()),
        text.language.as_ref().map(ToString::to_string),
    ];
    let words: Vec<_> = words.into_iter().flatten().collect();
    if words.is_empty() {
        "all".to_owned()
    } else {
        words.join(", ")
    }
}

impl CannedAnswers {
    /// Reads a document: a `[canned]` table as `gateway.toml` has it, and nothing else. Where `config` is given, all that it
    /// names must be there; otherwise texts for what there is not stand idle, since the store may hold newer texts than the
    /// configuration, or older ones.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str, config: Option<&Config>) -> Result<Self, ConfigErrors> {
        let mut report = Report::of_document("canned.toml", text);
        let Some(tree) = tree(text, MAX_BYTES, &mut report) else {
            return report.finish(None);
        };
        let document = Document::of(&Keys::of_text(&tree), &mut report);
        let known = config.map(Known::of).unwrap_or_default();
        let models = known.models(config.is_some(), &mut report);
        let tenants = known.tenants(config.is_some(), &report);
        let answers = value(&document.canned).map(|written| check(written, &models, &tenants, &mut report));
        report.finish(answers)
    }

    /// Reads a document as the store has it, whose models and tenants may be of a newer configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(document: &[u8]) -> Result<Self, ConfigErrors> {
        match std::str::from_utf8(document) {
            Ok(text) => Self::parse(text, None),
            Err(error) => {
                let text = String::from_utf8_lossy(&document[..error.valid_up_to()]);
                let mut report = Report::of_document("canned.toml", &text);
                report.not_utf8(error.valid_up_to());
                report.finish(None)
            }
        }
    }

    /// The document that says the same.
    pub fn to_document(&self) -> String {
        let quoted = |text: &str| {
            // TOML escapes as JSON does, and wants DEL escaped too.
            let json = serde_json::Value::from(text).to_string();
            json.replace('\u{7f}', "\\u007f")
        };
        let maintenance: Vec<_> = self.maintenance.iter().map(|model| quoted(model.as_str())).collect();
        let mut document = format!("[canned]\nmaintenance = [{}]\n", maintenance.join(", "));
        for text in &self.texts {
            let written = text.text.as_written();
            let keys = [
                ("model", text.model.as_ref().map(|model| quoted(model.as_str()))),
                ("tenant", text.tenant.as_ref().map(|tenant| quoted(tenant.as_str()))),
                ("language", text.language.as_ref().map(|tag| quoted(&tag.to_string()))),
                ("reason", text.reason.map(|reason| quoted(reason.as_str()))),
                ("text", Some(quoted(&written))),
            ];
            document.push_str("\n[[canned.texts]]\n");
            for (key, value) in keys {
                document.extend(value.map(|value| format!("{key} = {value}\n")));
            }
        }
        document
    }
}

/// The names that a configuration has, for a text that is not part of it.
#[derive(Default)]
struct Known {
    models: Vec<At<String>>,
    /// Each with the model's own name.
    aliases: Vec<(At<String>, String)>,
    tenants: Vec<At<String>>,
}

impl Known {
    fn of(config: &Config) -> Self {
        let at = |name: &str| At {
            place: Place::TEXT,
            value: name.to_owned(),
        };
        let aliases = config.aliases.iter();
        Self {
            models: config.models.keys().map(|name| at(name.as_str())).collect(),
            aliases: aliases.map(|(alias, name)| (at(alias), name.to_string())).collect(),
            tenants: config.tenants.iter().map(|tenant| at(tenant.name.as_str())).collect(),
        }
    }

    fn models(&self, are_all: bool, report: &mut Report) -> Names<'_> {
        let mut names = Names::of("model").complete_if(are_all);
        self.models.iter().for_each(|name| names.add_shared(Some(name), report));
        for (alias, name) in &self.aliases {
            names.add_alias(alias, name, report);
        }
        names
    }

    fn tenants(&self, are_all: bool, report: &Report) -> Names<'_> {
        let mut names = Names::of("tenant").complete_if(are_all);
        self.tenants
            .iter()
            .for_each(|name| names.add_shared(Some(name), report));
        names
    }
}

/// A longer document is refused unread: it has room for hundreds of texts, and every gateway holds it.
const MAX_BYTES: usize = 256 << 10;
