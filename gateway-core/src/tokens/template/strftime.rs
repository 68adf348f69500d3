//! `strftime_now`: a moment as text, by the codes of C's `strftime` in the C locale, in UTC.

use std::fmt::{self, Write};

use crate::time::Timestamp;

/// Writes `now` as `format` says; none when a code in it is unknown.
pub fn strftime(format: &str, now: Timestamp) -> Option<String> {
    let moment = Moment::new(now);
    let mut text = String::with_capacity(format.len() * 2);
    let mut rest = format;
    while let Some((plain, code)) = rest.split_once('%') {
        text.push_str(plain);
        let unpadded = code.strip_prefix('-');
        let code = unpadded.unwrap_or(code);
        let letter = code.chars().next()?;
        let from = text.len();
        moment.write(&mut text, letter).ok()?;
        if unpadded.is_some() {
            let digits = text.split_off(from);
            let bare = digits.trim_start_matches(['0', ' ']);
            text.push_str(if bare.is_empty() { "0" } else { bare });
        }
        rest = &code[letter.len_utf8()..];
    }
    text.push_str(rest);
    Some(text)
}

struct Moment {
    micros: u64,
    seconds: u64,
    year: u64,
    /// From 1.
    month: u64,
    day: u64,
    /// From 1.
    day_of_year: u64,
    /// From Sunday, which is 0.
    weekday: u64,
}

impl Moment {
    /// The calendar's year begins in March here, so that the leap day is its last (Hinnant, "chrono-Compatible
    /// Low-Level Date Algorithms", `civil_from_days`).
    fn new(now: Timestamp) -> Self {
        let days = now.as_secs() / DAY;
        let since_march_of_year_0 = days + 719_468;
        let era = since_march_of_year_0 / 146_097;
        let day_of_era = since_march_of_year_0 % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_since_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_since_march = (5 * day_since_march + 2) / 153;
        let day = day_since_march - (153 * month_since_march + 2) / 5 + 1;
        let month = if month_since_march < 10 {
            month_since_march + 3
        } else {
            month_since_march - 9
        };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let leap = u64::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)));
        let day_of_year = if month > 2 {
            day_since_march + 60 + leap
        } else {
            day_since_march - 305
        };
        Self {
            micros: now.as_micros() % 1_000_000,
            seconds: now.as_secs() % DAY,
            year,
            month,
            day,
            day_of_year,
            weekday: (days + 4) % 7,
        }
    }

    fn write(&self, text: &mut String, code: char) -> fmt::Result {
        let (hour, minute, second) = (self.seconds / 3_600, self.seconds / 60 % 60, self.seconds % 60);
        let twelve = (hour + 11) % 12 + 1;
        let (weekday, month) = (WEEKDAYS[self.weekday as usize], MONTHS[self.month as usize - 1]);
        match code {
            'Y' => write!(text, "{}", self.year),
            'y' => write!(text, "{:02}", self.year % 100),
            'C' => write!(text, "{:02}", self.year / 100),
            'm' => write!(text, "{:02}", self.month),
            'd' => write!(text, "{:02}", self.day),
            'e' => write!(text, "{:2}", self.day),
            'j' => write!(text, "{:03}", self.day_of_year),
            'B' => text.write_str(month),
            'b' | 'h' => text.write_str(&month[..3]),
            'A' => text.write_str(weekday),
            'a' => text.write_str(&weekday[..3]),
            'w' => write!(text, "{}", self.weekday),
            'u' => write!(text, "{}", (self.weekday + 6) % 7 + 1),
            'U' => write!(text, "{:02}", (self.day_of_year + 6 - self.weekday) / 7),
            'W' => write!(text, "{:02}", (self.day_of_year + 6 - (self.weekday + 6) % 7) / 7),
            'H' => write!(text, "{hour:02}"),
            'k' => write!(text, "{hour:2}"),
            'I' => write!(text, "{twelve:02}"),
            'l' => write!(text, "{twelve:2}"),
            'M' => write!(text, "{minute:02}"),
            'S' => write!(text, "{second:02}"),
            'f' => write!(text, "{:06}", self.micros),
            'p' => text.write_str(if hour < 12 { "AM" } else { "PM" }),
            'F' => self.all(text, "Y-m-d"),
            'T' | 'X' => self.all(text, "H:M:S"),
            'R' => self.all(text, "H:M"),
            'D' | 'x' => self.all(text, "m/d/y"),
            'c' => self.all(text, "a b e H:M:S Y"),
            'r' => self.all(text, "I:M:S p"),
            // Python's moment here knows no zone.
            'z' | 'Z' => Ok(()),
            'n' => text.write_char('\n'),
            't' => text.write_char('\t'),
            '%' => text.write_char('%'),
            _ => Err(fmt::Error),
        }
    }

    /// Letters of `codes` as codes, and what stands between them.
    fn all(&self, text: &mut String, codes: &str) -> fmt::Result {
        for character in codes.chars() {
            if character.is_ascii_alphabetic() {
                self.write(text, character)?;
            } else {
                text.push(character);
            }
        }
        Ok(())
    }
}

const DAY: u64 = 86_400;
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64, format: &str) -> String {
        strftime(format, Timestamp::from_millis(seconds * 1_000)).unwrap()
    }

    #[test]
    fn moments_are_written_as_c_writes_them() {
        let all = "%a %A %b %B %c %C %d %D %e %F %f %H %I %j %m %M %n %p %r %R %S %T %u %U %w %W %x %X %y %Y %% %z%Z";
        assert_eq!(
            at(1_709_210_096, all),
            "Thu Thursday Feb February Thu Feb 29 12:34:56 2024 20 29 02/29/24 29 2024-02-29 000000 12 12 060 02 34 \n \
             PM 12:34:56 PM 12:34 56 12:34:56 4 08 4 09 02/29/24 12:34:56 24 2024 % "
        );
        assert_eq!(at(1_735_689_600, "%-d %-m %-H %j %U %W %e"), "1 1 0 001 00 00  1");
        assert_eq!(at(0, "%d %b %Y, %A%l%p"), "01 Jan 1970, Thursday12AM");
        assert_eq!(strftime("%Q", Timestamp::default()), None);
        assert_eq!(strftime("50%", Timestamp::default()), None);
    }

    proptest! {
        #[test]
        fn no_format_panics(format in "[%a-zA-Z0-9é -]{0,12}", micros in any::<u64>()) {
            strftime(&format, Timestamp::from_micros(micros));
        }

        #[test]
        fn days_follow_one_another(day in 0_u64..200_000) {
            let of = |day: u64, format: &str| at(day * DAY, format).parse::<u64>().unwrap();
            let (today, tomorrow) = (of(day, "%Y%m%d"), of(day + 1, "%Y%m%d"));
            prop_assert!(tomorrow > today);
            prop_assert!(of(day + 1, "%j") == of(day, "%j") + 1 || of(day + 1, "%m%d") == 101);
        }
    }
}
