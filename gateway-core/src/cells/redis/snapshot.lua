-- Puts a snapshot in place of an older one, and removes the entries that nobody needs any more.
-- KEYS: the log. ARGV: number and name of the last entry in the snapshot, the snapshot, entries to keep before it.
local log, number = KEYS[1], tonumber(ARGV[1])
local base = tonumber(redis.call('LINDEX', log, 0) or '')
if not base or number <= base or number <= tonumber(redis.call('LINDEX', log, 1)) then
  return 0
end
local entry = redis.call('LINDEX', log, number - base + 2)
if not entry or string.sub(entry, 17, 24) ~= ARGV[2] then
  return 0
end
redis.call('LSET', log, 1, ARGV[1])
redis.call('LSET', log, 2, ARGV[3])
local removed = number - tonumber(ARGV[4]) - base
if removed > 0 then
  redis.call('LTRIM', log, removed + 3, -1)
  redis.call('LPUSH', log, ARGV[3], ARGV[1], base + removed)
end
return 1
