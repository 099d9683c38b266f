import { type Script, script } from './redis-scripts.ts'

/**
 * What Redis holds of channels with history, below `<prefix>:{<app>}:` (written `B` here). A channel's epoch and serials live longer than its events.
 * An epoch ends with the Redis process it began in: after a restart or a failover the latest events may be lost, and their serials given to others.
 *
 *     B histories          set     channels that have a state, or had one
 *     B history:<channel>  hash    e -> epoch, s -> serial of the last event, b -> bytes of the events, r -> run id of Redis, t -> when keys were last
 *                                  told how long to live
 *     B events:<channel>   stream  <serial>-0: v -> until when (ms of Redis's clock), bytes, origin, except, name, data, with tabs between
 *     B origins:<channel>  hash    origin -> serial, of the events in the stream
 */
const shared = `
local B, run, newEpoch, stateLife = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end

local function open(channel)
  local log = { state = B .. 'history:' .. channel, events = B .. 'events:' .. channel, origins = B .. 'origins:' .. channel }
  local state = redis.call('HMGET', log.state, 'e', 's', 'b', 'r', 't')
  if state[1] and state[4] == run then
    log.epoch, log.serial, log.bytes, log.told = state[1], tonumber(state[2]), tonumber(state[3]), tonumber(state[5])
    return log
  end
  log.epoch, log.serial, log.bytes, log.told = newEpoch, 0, 0, 0
  -- Not otherwise: after a script's first write Redis lets it write on, however full it is.
  if redis.call('EXISTS', log.events, log.origins) > 0 then redis.call('DEL', log.events, log.origins) end
  redis.call('HSET', log.state, 'e', newEpoch, 's', '0', 'b', '0', 'r', run, 't', '0')
  redis.call('PEXPIRE', log.state, stateLife)
  redis.call('SADD', B .. 'histories', channel)
  -- Two that are looked at for each that comes keep those that are gone few.
  for _, other in ipairs(redis.call('SRANDMEMBER', B .. 'histories', 2)) do
    if redis.call('EXISTS', B .. 'history:' .. other) == 0 then redis.call('SREM', B .. 'histories', other) end
  end
  return log
end

-- Lets the oldest go until so many are left, so many bytes, and, where it matters, none that is too old.
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
  return count
end
`

export const historyScripts = {
  /**
   * ARGV: B, run id of Redis, epoch to use where there is none, ms for which a state lives, head of a message, topic; then for each event: channel, it
   * as JSON, size, ttl in ms, bytes, ms for which a cache channel keeps it (0: none), origin or '', bytes it takes, except or '', name and data as JSON.
   * -> for each event: epoch, serial, 1 where the origin was there already.
   */
  append: script(`${shared}
local lines, answers = {}, {}
for at = 7, #ARGV, 11 do
  local channel, named, origin, except, name, data = ARGV[at], ARGV[at + 1], ARGV[at + 6], ARGV[at + 8], ARGV[at + 9], ARGV[at + 10]
  local ttl, most = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local log = open(channel)
  local known = origin ~= '' and redis.call('HGET', log.origins, origin)
  if known then
    answers[#answers + 1], answers[#answers + 2], answers[#answers + 3] = log.epoch, tonumber(known), 1
  else
    local id, bytes = text(log.serial + 1), ARGV[at + 7]
    redis.call('XADD', log.events, id .. '-0', 'v', table.concat({ text(now + ttl), bytes, origin, except, name, data }, '\t'))
    if origin ~= '' then redis.call('HSET', log.origins, origin, id) end
    local count = redis.call('XLEN', log.events)
    -- A stream that went as a whole, by its age, has left its bytes in the count.
    log.bytes = (count == 1 and 0 or log.bytes) + tonumber(bytes)
    trim(log, count, tonumber(ARGV[at + 2]), most, false)
    -- Not with every event: they live a little longer, and what is too old is left out all the same.
    if count == 1 or math.abs(now - log.told) > ttl / 8 then
      log.told = now
      redis.call('PEXPIRE', log.events, ttl + math.ceil(ttl / 4))
      redis.call('PEXPIRE', log.origins, ttl + math.ceil(ttl / 4))
      redis.call('PEXPIRE', log.state, stateLife + 2 * ttl)
    end
    redis.call('HSET', log.state, 's', id, 'b', text(log.bytes), 't', text(log.told))
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
   * ARGV: B, run id, epoch to use, ms for which a state lives, channel, a position's epoch and serial.
   * -> epoch, serial of the last event, 'expired' | 'changed' | [serial, event as it is kept, ...]
   */
  since: script(`${shared}
local log, from = open(ARGV[5]), tonumber(ARGV[7])
if ARGV[6] ~= log.epoch or from > log.serial then return { log.epoch, log.serial, 'changed' } end
local count = trim(log, redis.call('XLEN', log.events), math.huge, math.huge, true)
if count > 0 then redis.call('HSET', log.state, 'b', text(log.bytes)) end
if log.serial - from > count then return { log.epoch, log.serial, 'expired' } end
local missed = {}
if log.serial > from then
  for _, entry in ipairs(redis.call('XRANGE', log.events, text(from + 1) .. '-0', '+')) do
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

  /** Forgets channels. ARGV: B; then channels. */
  forget: script(`
local B = ARGV[1]
for at = 2, #ARGV do
  local channel = ARGV[at]
  redis.call('DEL', B .. 'history:' .. channel, B .. 'events:' .. channel, B .. 'origins:' .. channel)
  redis.call('SREM', B .. 'histories', channel)
end
return 0`),
} satisfies Readonly<Record<string, Script>>
