import { type Script, script } from './redis-scripts.ts'

/**
 * What Redis holds of channels with history, below `<prefix>:{<app>}:` (written `B` here). A channel's epoch and serials live longer than its events.
 * An epoch ends with the Redis process it began in: after a restart or a failover the latest events may be lost, and their serials given to others.
 *
 *     B beginning          hash    e -> what the epochs of new channels begin with, r -> run id of Redis, k -> which channels the rules keep
 *     B histories          set     channels that have a state, or had one
 *     B history:<channel>  hash    e -> epoch, s -> serial of the last event, b -> bytes of the events, r -> run id of Redis, t -> when keys were last
 *                                  told how long to live, l -> the rule's ttl then
 *     B events:<channel>   stream  <serial>-0: v -> until when (ms of Redis's clock), bytes, origin, except, name, data, with tabs between
 *     B origins:<channel>  hash    origin -> serial, of the events in the stream
 *
 * A channel has a state from its first event on: names alone, which strangers can make up, take nothing. Without one it stands before its first event, in
 * the epoch that it would begin today: `<e>-<day>`. That place holds for some days, for fewer than a state lives: an event that came after it would
 * still be known. What is forgotten sooner changes `e`.
 */
const shared = `
local B, run, newEpoch, stateLife = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local day = 86400000
local function text(number) return string.format('%.0f', number) end

local function beginning()
  local known = redis.call('HMGET', B .. 'beginning', 'e', 'r')
  if known[1] and known[2] == run then return known[1] end
  redis.call('HSET', B .. 'beginning', 'e', newEpoch, 'r', run)
  return newEpoch
end

local function open(channel)
  local log = { state = B .. 'history:' .. channel, events = B .. 'events:' .. channel, origins = B .. 'origins:' .. channel }
  local state = redis.call('HMGET', log.state, 'e', 's', 'b', 'r', 't', 'l')
  if state[1] and state[4] == run then
    log.epoch, log.serial, log.bytes, log.told, log.ttl = state[1], tonumber(state[2]), tonumber(state[3]), tonumber(state[5]), tonumber(state[6])
  else
    log.isNew = true
    log.epoch, log.serial, log.bytes, log.told, log.ttl = beginning() .. '-' .. text(math.floor(now / day)), 0, 0, 0, 0
  end
  return log
end
`

export const historyScripts = {
  /**
   * ARGV: B, run id of Redis, epoch to use where there is none, ms for which a state lives, head of a message, topic; then for each event: channel, it
   * as JSON, size, ttl in ms, bytes, ms for which a cache channel keeps it (0: none), origin or '', bytes it takes, except or '', name and data as JSON.
   * -> for each event: epoch, serial, 1 where the origin was there already.
   */
  append: script(`${shared}
local function create(log, channel)
  -- Not otherwise: after a script's first write Redis lets it write on, however full it is.
  if redis.call('EXISTS', log.events, log.origins) > 0 then redis.call('DEL', log.events, log.origins) end
  redis.call('HSET', log.state, 'e', log.epoch, 'r', run)
  redis.call('SADD', B .. 'histories', channel)
  -- Two that are looked at for each that comes keep those that are gone few.
  for _, other in ipairs(redis.call('SRANDMEMBER', B .. 'histories', 2)) do
    if redis.call('EXISTS', B .. 'history:' .. other) == 0 then redis.call('SREM', B .. 'histories', other) end
  end
end

-- Lets the oldest go until so many are left, so many bytes, and, where it is looked at, none that is too old.
local function trim(log, count, size, most, isAgeSeen)
  while count > 0 and (isAgeSeen or count > size or log.bytes > most) do
    local first = redis.call('XRANGE', log.events, '-', '+', 'COUNT', 1)[1]
    local ends, bytes, origin = string.match(first[2][2], '^(%d+)\t(%d+)\t([^\t]*)')
    if count <= size and log.bytes <= most and tonumber(ends) > now then break end
    redis.call('XDEL', log.events, first[1])
    if origin ~= '' then redis.call('HDEL', log.origins, origin) end
    log.bytes = log.bytes - tonumber(bytes)
    count = count - 1
  end
end

local lines, answers = {}, {}
for at = 7, #ARGV, 11 do
  local channel, named, origin, except, name, data = ARGV[at], ARGV[at + 1], ARGV[at + 6], ARGV[at + 8], ARGV[at + 9], ARGV[at + 10]
  local ttl, most = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local log = open(channel)
  local known = origin ~= '' and not log.isNew and redis.call('HGET', log.origins, origin)
  if known then
    answers[#answers + 1], answers[#answers + 2], answers[#answers + 3] = log.epoch, tonumber(known), 1
  else
    if log.isNew then create(log, channel) end
    local id, bytes = text(log.serial + 1), ARGV[at + 7]
    redis.call('XADD', log.events, id .. '-0', 'v', table.concat({ text(now + ttl), bytes, origin, except, name, data }, '\t'))
    if origin ~= '' then redis.call('HSET', log.origins, origin, id) end
    local count = redis.call('XLEN', log.events)
    -- A stream that went as a whole, by its age, has left its bytes in the count.
    log.bytes = (count == 1 and 0 or log.bytes) + tonumber(bytes)
    -- Not with every event: keys live a little longer, and what is too old is left out all the same.
    local isDue = count == 1 or log.ttl ~= ttl or math.abs(now - log.told) > ttl / 8
    trim(log, count, tonumber(ARGV[at + 2]), most, isDue)
    redis.call('HSET', log.state, 's', id, 'b', text(log.bytes))
    if isDue then
      redis.call('HSET', log.state, 't', text(now), 'l', text(ttl))
      redis.call('PEXPIRE', log.events, ttl + math.ceil(ttl / 4))
      redis.call('PEXPIRE', log.origins, ttl + math.ceil(ttl / 4))
      redis.call('PEXPIRE', log.state, stateLife + 2 * ttl)
    end
    if ARGV[at + 5] ~= '0' then
      redis.call('SET', B .. 'cache:' .. channel, table.concat({ 'e', named, except, '', name, data }, '\\t') .. '\\n', 'PX', ARGV[at + 5])
    end
    lines[#lines + 1] = table.concat({ 'h', named, log.epoch, id, except, name, data }, '\\t')
    answers[#answers + 1], answers[#answers + 2], answers[#answers + 3] = log.epoch, log.serial + 1, 0
  end
end
if #lines > 0 then redis.call('PUBLISH', ARGV[6], ARGV[5] .. table.concat(lines, '\\n') .. '\\n') end
return answers`),

  /**
   * Writes nothing, so that a Redis that is full answers, too. ARGV: B, run id, epoch to use, ms for which a state lives, channel, a position's epoch and
   * serial. -> epoch, serial of the last event, 'expired' | 'changed' | [serial, event as it is kept, ...]
   */
  since: script(`${shared}
local log, epoch, from = open(ARGV[5]), ARGV[6], tonumber(ARGV[7])
if from == 0 and epoch ~= log.epoch then
  local start, on = string.match(epoch, '^(.*)%-(%d+)$')
  local ours, today = string.match(log.epoch, '^(.*)%-(%d+)$')
  local age = start == ours and today - on or -1
  if age >= 0 and age < stateLife / day then epoch = log.epoch end
end
if epoch ~= log.epoch or from > log.serial then return { log.epoch, log.serial, 'changed' } end
local missed = {}
if from < log.serial then
  local kept = redis.call('XRANGE', log.events, text(from + 1) .. '-0', '+')
  local isWhole = #kept == log.serial - from and tonumber(string.match(kept[1][2][2], '^%d+')) > now
  if not isWhole then return { log.epoch, log.serial, 'expired' } end
  for _, entry in ipairs(kept) do
    missed[#missed + 1], missed[#missed + 2] = tonumber(string.match(entry[1], '^%d+')), entry[2][2]
  end
end
return { log.epoch, log.serial, missed }`),

  /**
   * Says where channels stand, in the order of their events: by message. ARGV: B, run id, epoch to use, ms for which a state lives, head of a message,
   * topic; then for each: channel, it as JSON.
   */
  stand: script(`${shared}
local lines = {}
for at = 7, #ARGV, 2 do
  local log = open(ARGV[at])
  lines[#lines + 1] = table.concat({ 's', ARGV[at + 1], log.epoch, text(log.serial) }, '\\t')
end
redis.call('PUBLISH', ARGV[6], ARGV[5] .. table.concat(lines, '\\n') .. '\\n')
return #lines`),

  /** Events may have passed by channels, where other rules were kept before. ARGV: B, run id, epoch to use, ms for which a state lives, the rules. */
  keep: script(`
local known = redis.call('HMGET', ARGV[1] .. 'beginning', 'r', 'k')
if known[1] ~= ARGV[2] or known[2] ~= ARGV[5] then
  redis.call('HSET', ARGV[1] .. 'beginning', 'e', ARGV[3], 'r', ARGV[2], 'k', ARGV[5])
end
return 0`),

  /** Forgets channels. ARGV: B, run id, epoch to use, ms for which a state lives; then channels. */
  forget: script(`
local B = ARGV[1]
for at = 5, #ARGV do
  local channel = ARGV[at]
  redis.call('DEL', B .. 'history:' .. channel, B .. 'events:' .. channel, B .. 'origins:' .. channel)
  redis.call('SREM', B .. 'histories', channel)
end
redis.call('HSET', B .. 'beginning', 'e', ARGV[3])
return 0`),
} satisfies Readonly<Record<string, Script>>
