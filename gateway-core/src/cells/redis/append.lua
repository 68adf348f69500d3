-- Appends an entry to a cell's log, unless the caller has to catch up first.
-- KEYS: the log. ARGV: number and name of the last entry that the caller has seen, the new entry's name, the entry,
-- milliseconds after which an idle log is forgotten.
local log, seen = KEYS[1], tonumber(ARGV[1])
local length = redis.call('LLEN', log)
local base = 0
if length > 0 then
  base = tonumber(redis.call('LINDEX', log, 0))
  if not base or length < 3 then
    return redis.error_reply('TIDEGATE the key holds no log of a cell')
  end
end
local last = base + math.max(length - 3, 0)

local function name_of(entry)
  return string.sub(entry, 17, 24)
end

-- What others appended since. The log must still hold what the caller has seen last: a log that was lost, and begun
-- anew by others, has another entry of that number.
local others
if seen == 0 and base == 0 then
  others = redis.call('LRANGE', log, 3, -1)
elseif seen > base and seen <= last then
  others = redis.call('LRANGE', log, seen - last - 1, -1)
  if name_of(table.remove(others, 1)) ~= ARGV[2] then
    others = nil
  end
end
if not others then
  if length == 0 then
    return {'behind', 0, '', '', {}}
  end
  local snapshot = tonumber(redis.call('LINDEX', log, 1))
  local name = last > 0 and name_of(redis.call('LINDEX', log, -1)) or ''
  local since = redis.call('LRANGE', log, snapshot - base + 3, -1)
  return {'behind', snapshot, redis.call('LINDEX', log, 2), name, since}
end

-- Where the reply to the first attempt was lost, the entry is there.
for place, other in ipairs(others) do
  if name_of(other) == ARGV[3] then
    local before = {}
    for earlier = 1, place - 1 do
      before[earlier] = others[earlier]
    end
    return {'appended', seen + place, string.sub(other, 1, 16), before}
  end
end

local time = redis.call('TIME')
local at = time[1] .. string.format('%06d', time[2])
if length == 0 then
  redis.call('RPUSH', log, '0', '0', '')
end
redis.call('RPUSH', log, at .. ARGV[3] .. ARGV[4])
redis.call('PEXPIRE', log, ARGV[5])
return {'appended', last + 1, at, others}
